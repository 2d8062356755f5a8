"""The head step for sentence embeddings: pooled vectors in, answers out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from .options import OptionRules
from .replies import reply
from .step_settings import read_settings
from .vectors import finish_vectors


class TritonPythonModel:
    """Shortens and normalises vectors as each request's options say."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Read the option defaults."""
        self._rules = OptionRules.from_settings(read_settings(Path(__file__).parent))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request; its options were checked by the tokenize step."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        options = self._rules.parse(request.parameters())
        vectors = pb_utils.get_input_tensor_by_name(request, "sentence_embedding").as_numpy()  # (1, n, H)
        return reply(embedding=finish_vectors(vectors, options))  # (1, n, dimensions)
