"""Which of the library's classes answers for a task."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Protocol

import torch

from .entities import Entities
from .generation import Generation
from .gliner2_entities import Gliner2Entities
from .hybrid import Hybrid
from .labelled_entities import LabelledEntities
from .labels import Labels, Ranking, ZeroShot
from .late_interaction import LateInteraction
from .masks import Masks
from .messages import Answered, Asked, Library
from .networks import GLINER2, make_known, own_network
from .spans import Spans
from .static import StaticVectors, is_static
from .vectors import SparseVectors, TokenVectors, Vectors
from .watching import Watched

_SMALL = 2_000_000
"""Parameters of a network that is slower on several threads."""


class TaskAsker(Protocol):
    """A checkpoint, loaded by the library for one task."""

    by: str
    """The class of the library that answers."""
    package: str
    """The library's distribution."""
    watched: Watched

    def answer(self, asked: Asked) -> Answered:
        """What the library says, one text after the other and none beside another."""


def _vectors(library: Library) -> TaskAsker:
    return StaticVectors(library) if is_static(library) else Vectors(library)


def _labelled_entities(library: Library) -> TaskAsker:
    return Gliner2Entities(library) if own_network(library.folder) == GLINER2 else LabelledEntities(library)


TASKS: dict[str, Callable[[Library], TaskAsker]] = {
    "feature-extraction": _vectors,
    "token-embedding": TokenVectors,
    "late-interaction": LateInteraction,
    "hybrid-embedding": Hybrid,
    "sparse-embedding": SparseVectors,
    "text-classification": Labels,
    "text-ranking": Ranking,
    "token-classification": Entities,
    "question-answering": Spans,
    "fill-mask": Masks,
    "zero-shot-classification": ZeroShot,
    "zero-shot-token-classification": _labelled_entities,
    "text2text-generation": Generation,
}


class Asker:
    """A checkpoint that the library has loaded."""

    def __init__(self, library: Library) -> None:
        if (own := own_network(library.folder)) is not None:
            make_known(own)
        self._asker = TASKS[library.task](library)
        self.by = f"{self._asker.by} of {self._asker.package} {version(self._asker.package)}"
        if library.translated_from is not None:
            self.by += f", with a configuration that encserve translated from model type {library.translated_from}"
        if own is not None:
            self.by += f", around encserve's own network for {own}"
        self.prompts: dict[str, str] | None = getattr(self._asker, "prompts", None)
        """Named prompts, where the task has them."""
        # Where the user bounds the threads of torch, set_num_threads would go beyond that bound.
        most = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
        self._threads = 1 if self._asker.watched.parameters < _SMALL else most

    def answer(self, asked: Asked) -> Answered:
        """What the library says to a request, whose adapter is merged into the weights already."""
        asked = replace(asked, options={name: value for name, value in asked.options.items() if name != "adapter"})
        torch.set_num_threads(self._threads)
        with torch.inference_mode():
            return self._asker.answer(asked)
