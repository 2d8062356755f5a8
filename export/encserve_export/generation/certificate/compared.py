"""How far the step is from the library: text by text, while both follow the library's tokens, and by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from encserve_export.certificate.limits import TIE
from encserve_export.errors import CertificateFailed
from encserve_export.generation.asked_step import AskedStep, Made
from encserve_export.reference.messages import Answered, Asked

AS_GOOD = 1e-4
"""By how much the score of the best hypothesis may be below that of the library's and be as good."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Where a text first has another token than the library's."""

    text: int
    token: int
    """How many tokens both share before it."""
    margin: float
    """By how much the library's likeliest token led there, over the standard deviation of its logits."""
    ours: str
    library: str


@dataclass(kw_only=True)
class Likeliest:
    """What was found of texts of which the likeliest token is taken each time."""

    identical: list[bool] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    largest: list[float] = field(default_factory=list)
    """Of each text the largest difference of any logit, over the standard deviation of the library's there."""
    rms: list[float] = field(default_factory=list)
    """Of each text the root of the mean of the squares of all its differences, over the same."""
    margins: list[NDArray[np.float64]] = field(default_factory=list)
    """Of each text, at each of its tokens (r,), by how much the library's likeliest leads, over the same."""
    agreed: int = 0
    """Tokens at which our highest logit is the library's highest, too, or tied with it."""
    tokens: int = 0
    divergence: float = 0.0
    nonfinite: list[int] = field(default_factory=list)
    """The numbers of the texts with NaN or infinity among our logits."""

    def add(self, ours: Made, theirs: Answered, step: AskedStep) -> None:
        """Compare one text. Raises CertificateFailed: both differ in more than numbers."""
        number = len(self.identical)
        ((made, said, *_),), (row,) = theirs.answers, theirs.rows
        assert row.logits is not None
        _check_source(ours, row.input_ids)
        tokens = np.array(made.keys, np.int64)
        logits = step.logits(ours.source, tokens).astype(np.float64)  # (r, V)
        right = row.logits[:, : logits.shape[1]].astype(np.float64)  # a vocabulary may be padded
        spread = right.std(axis=1)
        if not np.isfinite(logits).all():
            self.nonfinite.append(number)
        apart = np.abs(logits - right) / spread[:, None]  # (r, V)
        self.largest.append(float(apart.max()))
        self.rms.append(float(np.sqrt(np.square(apart).mean())))
        two = np.partition(right, -2, axis=1)[:, -2:]
        self.margins.append((two[:, 1] - two[:, 0]) / spread)
        found = np.take_along_axis(right, logits.argmax(axis=1)[:, None], axis=1)[:, 0]
        self.agreed += int(((two[:, 1] - found) / spread <= TIE).sum())
        self.tokens += len(tokens)
        self.divergence += float(_divergence(right, logits).sum())
        self.identical.append(list(made.keys) == ours.tokens)
        if not self.identical[-1]:
            self.differences.append(self._first(number, ours.tokens, tokens.tolist(), step))
        elif ours.text != said.keys[0]:
            raise CertificateFailed(f"the tokens {ours.tokens} are another text here than for the library")

    def _first(self, number: int, ours: Sequence[int], theirs: Sequence[int], step: AskedStep) -> Difference:
        pairs = enumerate(zip(ours, theirs, strict=False))
        at = next((place for place, (mine, its) in pairs if mine != its), min(len(ours), len(theirs)) - 1)
        return Difference(
            text=number,
            token=at,
            margin=float(self.margins[-1][at]),
            ours=step.token_of(ours[at]),
            library=step.token_of(theirs[at]),
        )


@dataclass(kw_only=True)
class Searched:
    """What was found of texts with beams."""

    identical: list[bool] = field(default_factory=list)
    shortfalls: list[float] = field(default_factory=list)
    """Of each text by how much the score of our best hypothesis is below that of the library's, by our logits."""

    def add(self, ours: Made, theirs: Answered, step: AskedStep, asked: Asked) -> None:
        """Compare one text. Raises CertificateFailed: both differ in more than numbers."""
        ((made, said, *_),), (row,) = theirs.answers, theirs.rows
        _check_source(ours, row.input_ids)
        self.identical.append(list(made.keys) == ours.tokens)
        if self.identical[-1]:
            self.shortfalls.append(0.0)
            if ours.text != said.keys[0]:
                raise CertificateFailed(f"the tokens {ours.tokens} are another text here than for the library")
            return
        theirs_tokens = [int(str(token)) for token in made.keys]
        theirs_by, ours_by = (step.score(ours.source, each, asked.options) for each in (theirs_tokens, ours.tokens))
        self.shortfalls.append(max(theirs_by - ours_by, 0.0))

    @property
    def as_good(self) -> float:
        """The share of texts whose hypothesis is the library's, or as good."""
        return float(np.mean([shortfall <= AS_GOOD for shortfall in self.shortfalls]))


def _check_source(ours: Made, theirs: NDArray[np.int64]) -> None:
    if not np.array_equal(ours.source, theirs):
        raise CertificateFailed(
            f"a text of the certificate has {len(ours.source)} tokens here and {len(theirs)} for the library, or others"
        )


def _divergence(reference: NDArray[np.float64], ours: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Kullback-Leibler divergence at each token, in nats: (r,), out of logits (r, V)."""
    with np.errstate(invalid="ignore"):  # NaN stays NaN, which a figure of its own tells
        p, q = (each - np.logaddexp.reduce(each, axis=1, keepdims=True) for each in (reference, ours))
    return (np.exp(p) * (p - q)).sum(axis=1)  # type: ignore[no-any-return]
