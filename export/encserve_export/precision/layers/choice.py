"""Which linear layers multiply integers: as many as keep the network as a whole to what it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from encserve_export.errors import Unsupported
from encserve_export.network.graph_file import Pack
from encserve_export.network.graph_session import session_of, taken_apart

MOST_ERROR = 1e-3
"""Of each output of the network, on texts that were not calibrated on: the mean over its rows of the squared difference
from FP32 over the square. Half of it is what a cosine falls short of 1."""


class Rounded(Protocol):
    """One tensor that linear layers multiply, such as q, k and v, with its integers."""

    @property
    def name(self) -> str:
        """The tensor."""

    @property
    def weights(self) -> Mapping[str, object]:
        """What belongs to each of its layers, by the layer's output."""


Some = TypeVar("Some", bound=Rounded)


@dataclass(frozen=True, kw_only=True)
class Choice(Generic[Some]):
    """What is rounded, and what was measured to choose it."""

    taken: Sequence[Some]
    """What is rounded."""
    error: float
    """How far that moves the network, in the terms of `MOST_ERROR`."""
    left_out: dict[str, float] = field(default_factory=dict)
    """What is not rounded, with how far each alone would move the network on the texts by which they are ranked."""

    @property
    def outputs(self) -> set[str]:
        """What the layers that multiply integers give."""
        return {output for each in self.taken for output in each.weights}


def choose(
    full: onnx.ModelProto,
    candidates: Sequence[Some],
    rewritten: Callable[[onnx.ModelProto, Sequence[Some]], onnx.ModelProto],
    packs: Sequence[Pack],
    *,
    ranked_on: Sequence[Pack],
    most_error: float = MOST_ERROR,
) -> Choice[Some]:
    """All of `candidates`, if the graph `rewritten` with all of them keeps to `most_error` on `packs`; else as many as
    do, those first that alone move it least on `ranked_on`, which may be few: a large network has a hundred
    candidates, and runs once for each.

    Raises:
        Unsupported: not even one does.
    """
    shell, weights = taken_apart(full)  # which are copied once, not for each candidate

    def errors_on(some_packs: Sequence[Pack], *, prepack: bool) -> Callable[[Sequence[Some]], float]:
        def given(model: onnx.ModelProto) -> list[list[NDArray[np.float32]]]:
            return rows_of(model, some_packs, weights, prepack=prepack)

        reference = given(shell)
        return lambda some: relative_error(given(rewritten(shell, some)), reference)

    error = errors_on(packs, prepack=True)
    if (of_all := error(candidates)) <= most_error:
        return Choice(taken=candidates, error=of_all)
    # To lay out the weights of a large network takes longer than to run it a few times.
    error_of_few = errors_on(ranked_on, prepack=False)
    alone = {each.name: error_of_few([each]) for each in candidates}
    ranked = sorted(candidates, key=lambda each: alone[each.name])
    held, least, most = 0.0, 0, len(ranked)  # with so many it holds, and does not
    while most - least > 1:
        middle = (least + most) // 2
        measured = error(ranked[:middle])
        if measured <= most_error:
            held, least = measured, middle
        else:
            most = middle
    if not least:
        raise Unsupported(
            f"no linear layer can be int8: the one that moves the network least moves it by {min(alone.values()):.3g}, "
            f"and {most_error:g} is the most"
        )
    left_out = {each.name: float(f"{alone[each.name]:.3g}") for each in ranked[least:]}
    return Choice(taken=ranked[:least], error=held, left_out=left_out)


def rows_of(
    model: onnx.ModelProto,
    packs: Sequence[Pack],
    weights: Mapping[str, NDArray[np.generic]] = MappingProxyType({}),
    *,
    prepack: bool = True,
) -> list[list[NDArray[np.float32]]]:
    """Of each output of a graph, whose `weights` may lie beside it, what every pack gives, each (..., W): rows of W
    numbers. `prepack` lays the weights out once for all packs, in memory of their own."""
    options = onnxruntime.SessionOptions()
    if not prepack:
        options.add_session_config_entry("session.disable_prepacking", "1")
    session = session_of(model, options, weights=weights)
    return [list(rows) for rows in zip(*(session.run(None, dict(pack)) for pack in packs), strict=True)]


def relative_error(
    ours: Sequence[Sequence[NDArray[np.float32]]], reference: Sequence[Sequence[NDArray[np.float32]]]
) -> float:
    """Of the output that is furthest from the reference's, the mean over rows of the squared difference over the
    reference's square. Outputs count by themselves: among the keys and values of all layers logits are one row in
    hundreds, and all that a caller sees. Infinite where any of our numbers is none."""
    errors = np.array([_mean_error(*pair) for pair in zip(ours, reference, strict=True)])
    return float(np.nan_to_num(errors, nan=np.inf).max())


def _mean_error(ours: Sequence[NDArray[np.float32]], reference: Sequence[NDArray[np.float32]]) -> float:
    pairs = zip(ours, reference, strict=True)
    errors = [np.square(a - b).sum(-1) / np.maximum(np.square(b).sum(-1), 1e-30) for a, b in pairs]
    return float(np.concatenate([each.ravel() for each in errors]).mean())
