"""The generate step of a version in this process: the very engine that will serve, without Triton around it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from encserve_export.errors import CertificateFailed, WayFailed
from encserve_export.reference.messages import Asked
from encserve_server.steps.encode.host.cores import usable_cores
from encserve_server.steps.generate.decoder.cache import Cache
from encserve_server.steps.generate.decoder.network import GenerateNetwork, Shape
from encserve_server.steps.generate.door.limits import EngineLimits
from encserve_server.steps.generate.engine import Engine
from encserve_server.steps.generate.texts.beams import score_of
from encserve_server.steps.generate.texts.choice import Choice, choices_of
from encserve_server.steps.generate.texts.languages import Languages
from encserve_server.steps.generate.texts.pieces import Pieces
from encserve_server.steps.generate.texts.rules import rules_in
from encserve_server.steps.generate.texts.text import GeneratedText, NotFinite, Told
from encserve_server.steps.instance.settings import read_settings
from encserve_server.steps.request.options import InvalidArgument, OptionRules
from encserve_server.steps.tokenize.listed.pieces import ListedPieces
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
    failed: str = ""
    """That the network gave NaN or infinity for it, in words; empty where it did not."""


class AskedStep:
    """A version folder with its engine. A context manager."""

    def __init__(self, folder: Path) -> None:
        settings = read_settings(folder)
        self._folder, self._settings = folder, settings
        self._rules = OptionRules.from_settings(settings)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        pieces = ListedPieces.in_folder(folder, settings)
        self._tokenization = Tokenization(self._tokenizer, settings, pieces=pieces)
        self._languages = Languages.in_settings(settings)
        self._shape = Shape(**settings["shape"])
        self._limits = EngineLimits(**settings["engine"])
        self._network = GenerateNetwork.certified(folder, settings, threads=usable_cores())

    @property
    def languages(self) -> list[str]:
        """The languages that it knows, none of most checkpoints."""
        return list(self._languages.ids) if self._languages else []

    def make(self, asked: Sequence[Asked], *, one_by_one: bool = False, rows: int | None = None) -> list[Made]:
        """What becomes of the texts of requests, of which each has one: all under way together, so that texts join and
        leave between steps; `rows` of them at most, each in the place of one that has left; or `one_by_one`.

        Raises:
            WayFailed: the network fails on one, by more than numbers that are not finite.
            CertificateFailed: a text is refused.
        """
        if not asked:
            return []
        most = 1 if one_by_one else rows or self._limits.max_rows
        limits = replace(self._limits, max_queued_texts=len(asked), max_rows=most)
        ended, left = threading.Event(), [len(asked)]
        said: dict[int, str] = {}

        def tell(text: GeneratedText, piece: str) -> None:
            said[id(text)] = said.get(id(text), "") + piece
            if text.ended:
                left[0] -= 1
                if not left[0]:
                    ended.set()

        texts = [self.text(each, tell) for each in asked]
        with Engine(self._folder, limits=limits) as engine:
            for text in texts:
                engine.put([text])
            ended.wait()
        for text in texts:
            if text.error is not None and not isinstance(text.error, NotFinite):
                raise WayFailed(f"the network fails on a text of {len(text.source)} tokens: {text.error}")
        return [Made(text.source, text.tokens, said[id(text)], text.finish, str(text.error or "")) for text in texts]

    def token_of(self, token: int) -> str:
        """A token as the tokenizer writes it; its number where it has none."""
        return self._tokenizer.id_to_token(token) or str(token)

    def logits(self, source: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """The logits (r, V) before each of `tokens` (r,), where each is followed by the next of them."""
        cache = Cache(self._shape.layers, self._shape.heads, self._shape.size)
        (kept,) = self._network.encode([source])
        cache.add(kept)
        before = [self._settings["start_token"], *tokens[:-1].tolist()]
        return np.concatenate([self._network.step(np.array([[token]], np.int64), cache)[:, 0] for token in before])

    def score(self, source: NDArray[np.int64], tokens: Sequence[int], options: Mapping[str, Any]) -> float:
        """The score by which beams rank a text of these tokens, with the options of a request."""
        checked = self._rules.check(options)
        return score_of(
            self._choice(options, checked), tokens, self.logits(source, np.array(tokens)), checked["max_new_tokens"]
        )

    def _choice(self, given: Mapping[str, Any], options: Mapping[str, Any]) -> Choice:
        rules = rules_in(self._settings) | (self._languages.first(options) if self._languages else {})
        (choice,) = choices_of(given, options, 1, rules=rules, chance=0)
        return choice

    def text(self, asked: Asked, tell: Told) -> GeneratedText:
        """The text of a request, as an engine takes it, of which `tell` hears.

        Raises:
            CertificateFailed: it is refused.
        """
        options = self._rules.check(asked.options)
        raw = [text.encode() for text in asked.inputs["text"]]
        (tensors,) = self._tokenization.tokenize([(self._tokenization.read({"text": raw}, options), options)])
        if isinstance(tensors, InvalidArgument):
            raise CertificateFailed(f"the step refuses a text of the certificate: {tensors}")
        if self._languages:
            self._languages.mark([tensors["input_ids"]], options)
        return GeneratedText(
            source=tensors["input_ids"],
            choice=self._choice(asked.options, options),
            max_new_tokens=options["max_new_tokens"],
            pieces=Pieces(self._tokenizer),
            tell=tell,
            lane=options["lane"],
        )

    def __enter__(self) -> AskedStep:
        return self

    def __exit__(self, *_: object) -> None:
        del self._network
