"""The three steps of a pipeline, each by the code of its own version, without Triton around them.

What stands between Triton and these steps is not needed here: there is no queue at the door, since the caller waits in
this process, and nothing to be told to a server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from .certified_code import CertifiedCode

Tensors = Mapping[str, NDArray[Any]]
"""Tensors of one request by name, without the leading dimension."""


@dataclass(frozen=True)
class StepFiles:
    """The version folder of a step, and the sha256 of its files by path within it."""

    folder: Path
    files: Mapping[str, str]

    @property
    def code(self) -> CertifiedCode:
        """The modules of the step."""
        return CertifiedCode(self.folder, self.files)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the step. Raises ValueError, OSError."""
        return dict(json.loads((self.folder / "settings.json").read_text(encoding="utf-8")))


class TokenizeStep:
    """Texts to packed rows of tokens. Any number of threads may use it."""

    def __init__(self, step: StepFiles) -> None:
        code, settings = step.code, step.settings
        options = code.module("request.options")
        self.Refused: type[Exception] = options.InvalidArgument
        """What refuses a request, for a mistake of the caller."""
        self._rules = options.OptionRules.from_settings(settings)
        tokenizer = Tokenizer.from_file(str(step.folder / "tokenizer.json"))
        self._tokenization = code.module("tokenize.tokenization").Tokenization(tokenizer, settings)

    def options(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return all options of a request, from those that its caller gave. Raises `Refused`."""
        return self._rules.check(parameters)  # type: ignore[no-any-return]

    def tokenize(self, inputs: Mapping[str, list[bytes]], options: Mapping[str, Any]) -> Tensors:
        """Return the tensors of a request. Raises `Refused`."""
        given = {name: inputs.get(name, []) for name in self._tokenization.inputs}
        (answer,) = self._tokenization.tokenize([(self._tokenization.read(given, options), options)])
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]


class EncodeStep:
    """Packed rows of tokens to what the network gives for them, on threads of its own."""

    def __init__(self, step: StepFiles, *, cores: int | None) -> None:
        code = step.code
        self.Refused: type[Exception] = code.module("request.options").InvalidArgument
        self.NotFinite: type[Exception] = code.module("encode.request").NonFiniteRows
        """What answers a request of which some texts gave NaN or infinity; its `texts` are their places."""
        bounded = {} if cores is None else {"cores": cores}
        self._encoder = code.module("encode.encoder").Encoder(step.folder, **bounded)
        self.slow_here: str = self._encoder.slow_here
        """Why it is slow on this processor, as a sentence; empty if it is not."""

    def begin(
        self,
        tensors: Tensors,
        *,
        outputs: tuple[str, ...],
        parameters: Mapping[str, Any],
        lane: str,
        fresh: bool,
        is_wanted: Callable[[], bool],
        answer: Callable[[Any], None],
    ) -> None:
        """Let a request wait in a lane. `answer` takes the rows by output, none of those that the `parameters` of the
        request do without, or an exception, on another thread; only its first call counts. Raises `Refused`."""
        packed = {name: np.asarray(tensors[name], np.int64) for name in self._encoder.inputs}
        none: dict[str, Any] = {}
        if len(outputs) > 1:  # code of versions from before there were several chooses none
            chosen = self._encoder.choice.of(outputs, parameters)
            outputs, none = chosen.outputs, chosen.none

        def whole(rows: Any) -> None:
            answer(rows if isinstance(rows, Exception) else {**none, **rows})

        request = self._encoder.request(packed, outputs=outputs, answer=whole, begin=is_wanted, fresh=fresh)
        self._encoder.put(lane, [request])

    def close(self) -> None:
        """End the threads, once what is being computed is done."""
        self._encoder.close()


class HeadStep:
    """What the network gave to answers. Any number of threads may use it."""

    def __init__(self, step: StepFiles) -> None:
        code, settings = step.code, step.settings
        options = code.module("request.options")
        self.Refused: type[Exception] = options.InvalidArgument
        self._rules = options.OptionRules.from_settings(settings)
        self._head = code.module("head.loading").load_head(settings)
        self._inputs: tuple[str, ...] = tuple(settings["tensors"])

    def answer(self, known: Tensors, parameters: Mapping[str, Any]) -> Tensors:
        """Return the tensors of an answer, out of all that is known of its request. Raises `Refused`."""
        inputs = {name: known[name] for name in self._inputs}
        return self._head.answer(inputs, self._rules.check(parameters))  # type: ignore[no-any-return]
