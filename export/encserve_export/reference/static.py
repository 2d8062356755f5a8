"""Vectors of static embeddings, as `StaticEmbedding` of sentence-transformers gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

from .messages import Answer, Answered, Asked, Library, Row
from .prompts import prompt_arguments, prompts_of
from .watching import Watched

_LENGTH = 8192
"""Tokens of a text where the user does not say how many. The library would read all of them."""


def is_static(library: Library) -> bool:
    """Whether the checkpoint is one of static embeddings."""
    modules = library.folder / "modules.json"
    if modules.is_file():
        return any(module["type"].endswith(".StaticEmbedding") for module in json.loads(modules.read_text())[:1])
    return _config(library.folder).get("model_type") == "model2vec"


class StaticVectors:
    """`SentenceTransformer.encode` of a StaticEmbedding; where model2vec saved one without a list of modules, of that
    and of the Normalize that its configuration asks for."""

    by, package = "SentenceTransformer", "sentence-transformers"

    def __init__(self, library: Library) -> None:
        self._encoder = _load(library).float()
        self._table: Any = self._encoder[0]
        self._length = library.max_length or _LENGTH
        self.watched: Watched = WatchedTable(self._table)
        self.prompts = prompts_of(self._encoder)

    def answer(self, asked: Asked) -> Answered:
        """One vector for each text."""
        options = asked.options
        side = "left" if options.get("truncate") == "start" else "right"
        self._table.tokenizer.enable_truncation(self._length, direction=side)
        how: dict[str, Any] = prompt_arguments(options) | {
            "truncate_dim": options.get("dimensions"),
            "normalize_embeddings": options.get("normalize", False),
        }
        vectors = [self._encoder.encode(text, **how) for text in asked.inputs["text"]]
        return Answered([(Answer("numbers", vector),) for vector in vectors], self.watched.rows())


class WatchedTable(Watched):
    """A StaticEmbedding whose calls are recorded. Each must be of one text."""

    def __init__(self, table: Any) -> None:
        self.parameters = sum(parameter.numel() for parameter in table.parameters())
        self._rows: list[Row] = []
        table.register_forward_pre_hook(self._look)

    def _look(self, table: Any, inputs: tuple[dict[str, Any], ...]) -> None:
        self._rows.append(Row(inputs[0]["input_ids"].numpy(), None))


def _load(library: Library) -> SentenceTransformer:
    folder = str(library.folder)
    if (library.folder / "modules.json").is_file():
        return SentenceTransformer(folder, device="cpu", local_files_only=True)
    modules: list[Any] = [StaticEmbedding.load(folder)]
    if _config(library.folder)["normalize"]:
        modules.append(Normalize())
    return SentenceTransformer(modules=modules, device="cpu")


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    return json.loads(file.read_text()) if file.is_file() else {}
