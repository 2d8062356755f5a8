"""The head step without Triton: what the network gave for one request, to its answer."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

from numpy.typing import NDArray

from .options import Options


class Head(Protocol):
    """Turns numbers into answers. Each head is a module with a class of this name."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Read what the head needs of its settings."""

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """The answer's tensors, from the step's inputs; neither with the leading dimension.

        Raises InvalidArgument.
        """


def load_head(settings: Mapping[str, Any]) -> Head:
    """The head that the settings name."""
    head: Head = import_module(f".{settings['head']}", __package__).Head(settings)
    return head
