"""The tokenize step: BYTES texts in, packed token ids out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from tokenizers import Tokenizer

from .options import InvalidArgument, OptionRules, Options
from .replies import invalid, reply
from .step_settings import check_sha256, read_settings
from .tokenization import Tokenization


class TritonPythonModel:
    """Tokenizes the texts of all requests of a batch in one call."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Load the tokenizer, after checking that it is the certified one."""
        folder = Path(__file__).parent
        settings = read_settings(folder)
        check_sha256(folder / "tokenizer.json", settings["tokenizer_sha256"])
        self._rules = OptionRules.from_settings(settings)
        self._tokenization = Tokenization(Tokenizer.from_file(str(folder / "tokenizer.json")), settings)
        self._tensors = settings["tensors"]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request with its own texts' tokens; a wrong request fails alone."""
        responses: list[Any] = [None] * len(requests)
        accepted: list[tuple[int, list[list[str]], Options]] = []
        for index, request in enumerate(requests):
            try:
                options = self._rules.parse(request.parameters())
                inputs = {name: _raw_texts(request, name) for name in self._tokenization.inputs}
                accepted.append((index, self._tokenization.read(inputs, options), options))
            except InvalidArgument as error:
                responses[index] = invalid(error)

        answers = self._tokenization.tokenize([(groups, options) for _, groups, options in accepted])
        for (index, _, _), answer in zip(accepted, answers, strict=True):
            if isinstance(answer, InvalidArgument):
                responses[index] = invalid(answer)
            else:
                responses[index] = reply(**{name: answer[name][None] for name in self._tensors})  # (1, ...)
        return responses


def _raw_texts(request: Any, name: str) -> Sequence[bytes]:
    """The texts of one input of a request as they came: UTF-8 bytes, (n,)."""
    texts = pb_utils.get_input_tensor_by_name(request, name).as_numpy()
    if texts.shape[0] != 1:
        raise InvalidArgument(f"input {name} has shape {list(texts.shape)}; [1, n] is expected, all texts in one row")
    return texts[0]  # type: ignore[no-any-return]
