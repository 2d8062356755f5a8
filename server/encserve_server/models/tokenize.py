"""The tokenize step: BYTES texts in, packed token ids out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from tokenizers import Tokenizer

from .options import InvalidArgument, OptionRules, Options
from .replies import invalid, reply
from .step_settings import check_sha256, read_settings
from .tokenization import Limits, Tokenization


class TritonPythonModel:
    """Tokenizes the texts of all requests of a batch in one call."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the tokenizer, after checking that it is the certified one."""
        folder = Path(__file__).parent
        settings = read_settings(folder)
        check_sha256(folder / "tokenizer.json", settings["tokenizer_sha256"])
        self._rules = OptionRules.from_settings(settings)
        self._tokenization = Tokenization(
            Tokenizer.from_file(str(folder / "tokenizer.json")), Limits.from_settings(settings), settings["prompts"]
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request with its own texts' tokens; a wrong request fails alone."""
        responses: list[Any] = [None] * len(requests)
        accepted: list[tuple[int, list[str], Options]] = []
        for index, request in enumerate(requests):
            try:
                options = self._rules.parse(request.parameters())
                texts = self._tokenization.decode(_raw_texts(request), options)
            except InvalidArgument as error:
                responses[index] = invalid(error)
            else:
                accepted.append((index, texts, options))

        encodings = self._tokenization.encode([text for _, texts, _ in accepted for text in texts])
        end = 0
        for index, texts, options in accepted:
            begin, end = end, end + len(texts)
            try:
                packed = self._tokenization.pack(encodings[begin:end], options)
            except InvalidArgument as error:
                responses[index] = invalid(error)
                continue
            responses[index] = reply(
                input_ids=packed.input_ids[None],  # (1, T)
                lengths=packed.lengths[None],  # (1, n)
                token_count=packed.lengths[None].astype(np.int32),  # (1, n)
                dropped_count=packed.dropped_counts[None],  # (1, n)
            )
        return responses


def _raw_texts(request: Any) -> Sequence[bytes]:
    """The texts of a request as they came: UTF-8 bytes, (n,)."""
    texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
    if texts.shape[0] != 1:
        raise InvalidArgument(f"input text has shape {list(texts.shape)}; [1, n] is expected, all texts in one row")
    return texts[0]  # type: ignore[no-any-return]
