"""The head step without Triton: from what the network computed for one request to its answer."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

import numpy as np
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
    """A head that is asked only about tensors that fit together, and about numbers that are finite."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def answer(self, inputs: Mapping[str, NDArray[Any]], options: Options) -> dict[str, NDArray[Any]]:
        """Return the answer's tensors.

        Raises:
            InvalidArgument: the tensors do not fit together.
            FloatingPointError: one that the answer is made of holds NaN or infinity. An encode step in a C++ backend
                does not look, and afterwards it may not show: running sums carry one NaN into other texts' spans, a
                weight that is NaN is not above zero, and shorter forms of vectors have numbers for both.
        """
        fit = self._head.fit
        fit.check(inputs)
        wanted = [name for name in fit.shapes if options.get(fit.wanted_by.get(name, ""), True)]
        for name in wanted:
            if inputs[name].dtype.kind == "f" and not np.isfinite(inputs[name]).all():
                raise FloatingPointError(f"what the network gave as {name} holds NaN or infinity")
        return self._head.answer(inputs, options)


def load_head(settings: Mapping[str, Any]) -> CheckedHead:
    """Return the head that the settings name."""
    head: Head = import_module(f".answers.{settings['head']}", __package__).Head(settings)
    return CheckedHead(head)
