"""The head step: what the encoder gives in, answers out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .heads import load_head
from .options import InvalidArgument, OptionRules
from .replies import invalid, reply
from .request_tensors import tensor_of
from .step_settings import read_settings


class TritonPythonModel:
    """Answers each request as its options say."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the head of the pipeline's task."""
        settings = read_settings(Path(__file__).parent)
        self._rules = OptionRules.from_settings(settings)
        self._head = load_head(settings)
        self._inputs = settings["tensors"]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request; its options were checked by the tokenize step."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            inputs = {name: tensor_of(request, name) for name in self._inputs}
            answer = self._head.answer(inputs, self._rules.parse(request.parameters()))
        except InvalidArgument as error:
            return invalid(error)
        except Exception as error:  # who asks a pipeline can ask this step, with tensors that no other step gives
            return invalid(InvalidArgument(f"the tensors of the request do not fit together: {error!r}"))
        return reply(**{name: tensor[None] for name, tensor in answer.items()})
