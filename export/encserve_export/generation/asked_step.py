"""The generate step of a version in this process: the very engine that will serve, without Triton around it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from encserve_export.errors import CertificateFailed, WayFailed
from encserve_export.reference.messages import Asked
from encserve_server.steps.encode.host.cores import usable_cores
from encserve_server.steps.generate.cache import Cache
from encserve_server.steps.generate.choice import choices_of
from encserve_server.steps.generate.engine import Engine, EngineLimits
from encserve_server.steps.generate.network import GenerateNetwork, Shape
from encserve_server.steps.generate.pieces import Pieces
from encserve_server.steps.generate.text import GeneratedText
from encserve_server.steps.instance.settings import read_settings
from encserve_server.steps.request.options import InvalidArgument, OptionRules
from encserve_server.steps.tokenize.tokenization import Tokenization


@dataclass(frozen=True)
class Made:
    """What became of one text."""

    source: NDArray[np.int64]
    """The token ids (s,) of the text."""
    tokens: list[int]
    """Those that were made of it, the one that ended it among them."""
    text: str
    finish: str


class AskedStep:
    """A version folder with its engine. A context manager."""

    def __init__(self, folder: Path) -> None:
        settings = read_settings(folder)
        self._folder, self._settings = folder, settings
        self._rules = OptionRules.from_settings(settings)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenization = Tokenization(self._tokenizer, settings)
        self._shape = Shape(**settings["shape"])
        self._limits = EngineLimits(**settings["engine"])
        self._network = GenerateNetwork(folder, self._shape, threads=usable_cores())

    def make(self, asked: Sequence[Asked], *, one_by_one: bool = False) -> list[Made]:
        """What becomes of the texts of requests, of which each has one: all under way together, the shortest first, so
        that texts join and leave between steps; or `one_by_one`.

        Raises:
            WayFailed: the network fails on one.
            CertificateFailed: a text is refused.
        """
        limits = replace(self._limits, max_queued_texts=len(asked), **({"max_rows": 1} if one_by_one else {}))
        ended, left = threading.Event(), [len(asked)]
        said: dict[int, str] = {}

        def tell(text: GeneratedText, piece: str) -> None:
            said[id(text)] = said.get(id(text), "") + piece
            if text.ended:
                left[0] -= 1
                if not left[0]:
                    ended.set()

        texts = [self._text(each, tell) for each in asked]
        with Engine(self._folder, limits=limits) as engine:
            for text in texts:
                engine.put([text])
            ended.wait()
        for text in texts:
            if text.error is not None:
                raise WayFailed(f"the network fails on a text of {len(text.source)} tokens: {text.error}")
        return [Made(text.source, text.tokens, said[id(text)], text.finish) for text in texts]

    def logits(self, source: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """The logits (r, V) before each of `tokens` (r,), where each is followed by the next of them."""
        cache = Cache(self._shape.layers, self._shape.heads, self._shape.size)
        (kept,) = self._network.encode([source])
        cache.add(kept)
        before = [self._settings["start_token"], *tokens[:-1].tolist()]
        return np.concatenate([self._network.step(np.array([token], np.int64), cache) for token in before])

    def _text(self, asked: Asked, tell: Any) -> GeneratedText:
        options = self._rules.check(asked.options)
        raw = [text.encode() for text in asked.inputs["text"]]
        (tensors,) = self._tokenization.tokenize([(self._tokenization.read({"text": raw}, options), options)])
        if isinstance(tensors, InvalidArgument):
            raise CertificateFailed(f"the step refuses a text of the certificate: {tensors}")
        (choice,) = choices_of(asked.options, options, 1, ends=self._settings["end_tokens"], chance=0)
        return GeneratedText(
            source=tensors["input_ids"],
            choice=choice,
            max_new_tokens=options["max_new_tokens"],
            pieces=Pieces(self._tokenizer),
            tell=tell,
            lane=options["lane"],
        )

    def __enter__(self) -> AskedStep:
        return self

    def __exit__(self, *_: object) -> None:
        del self._network
