"""A figure of a certificate: a number, and what it is held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Figure:
    """One measured number and what it is held to."""

    name: str
    measured: float
    limit: float
    at_least: bool = False
    worst_text: int | None = None
    texts: int = 0
    """How many texts it was measured on."""
    variants: int = 0
    """How many times one of them was asked again, with other options."""
    bounds: tuple[float, float] | None = None
    """Of a share: between which numbers it lies, as far as so many decisions can tell."""

    @property
    def holds(self) -> bool:
        """Whether the limit is kept. A NaN keeps none. A share misses it only where its upper bound does: a single
        label that changed in few texts decides nothing."""
        if self.at_least:
            return (self.bounds[1] if self.bounds else self.measured) >= self.limit
        return self.measured <= self.limit

    def record(self, token_counts: Sequence[int] = ()) -> dict[str, Any]:
        """What the manifest says of it; with the tokens of the worst text, where `token_counts` has those of all."""
        stated = {"measured": self.measured, "limit": self.limit, "at_least": self.at_least, "texts": self.texts}
        if self.worst_text is not None and token_counts:
            stated["worst_tokens"] = token_counts[self.worst_text]
        stated |= {"variants": self.variants} if self.variants else {}
        return stated | ({"bounds": [float(f"{bound:.6g}") for bound in self.bounds]} if self.bounds else {})

    def complaint(self, token_counts: Sequence[int] = (), shown: Mapping[int, str] | None = None) -> str:
        """The number, the limit and the worst text, in words; `shown` has the beginning of each text."""
        bound = "at least" if self.at_least else "at most"
        between = " (with 95 % confidence between {:.4g} and {:.4g})".format(*self.bounds) if self.bounds else ""
        where = ""
        if self.worst_text is not None:
            where = f"; worst is text {self.worst_text}"
            where += f" of {token_counts[self.worst_text]} tokens" if token_counts else ""
            where += f": {shown[self.worst_text]}" if shown else ""
        return f"{self.name} is {self.measured:.3g}{between}, must be {bound} {self.limit:g}{where}"


class Asked(Protocol):
    """Texts that were asked about."""

    @property
    def token_counts(self) -> Sequence[int]:
        """The tokens of each."""

    @property
    def shown(self) -> Mapping[int, str]:
        """The beginning of each."""


def missed(figures: Sequence[Figure], asked: Asked) -> list[str]:
    """The complaints of those whose limit is not kept, about the texts on which they were measured."""
    return [figure.complaint(asked.token_counts, asked.shown) for figure in figures if not figure.holds]


def missed_by_output(by_output: Mapping[str, Sequence[Figure]], asked: Asked) -> list[str]:
    """What the figures of each output by itself miss, each with the option that asks for the output."""
    return [
        f"of the output {name}, {complaint}"
        for name, figures in by_output.items()
        for complaint in missed(figures, asked)
    ]
