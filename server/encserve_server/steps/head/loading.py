"""The head step without Triton: from what the network computed for one request to its answer."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

from numpy.typing import NDArray

from ..request.options import Options
from .fit import Fit


class Head(Protocol):
    """Turns numbers into answers. Each head is a module of `answers` with a class of this name."""

    fit: Fit
    """What the tensors of its inputs must have in common."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Read what the head needs of its settings."""

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return the answer's tensors, from the step's inputs; neither has the leading dimension.

        Raises InvalidArgument.
        """


class CheckedHead:
    """A head that is asked only about tensors that fit together."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return the answer's tensors. Raises InvalidArgument."""
        self._head.fit.check(inputs)
        return self._head.answer(inputs, options)


def load_head(settings: Mapping[str, Any]) -> CheckedHead:
    """Return the head that the settings name."""
    head: Head = import_module(f".answers.{settings['head']}", __package__).Head(settings)
    return CheckedHead(head)
