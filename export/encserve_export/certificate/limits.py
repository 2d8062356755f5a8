"""How far a published graph may be from the FP32 PyTorch checkpoint. The only place where tolerances stand.

All figures are of vectors scaled to length 1, and of logits over the largest of the reference, so that they mean the
same for every checkpoint.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from encserve_export.config import Precision
from encserve_export.errors import InvalidConfig


@dataclass(frozen=True, kw_only=True)
class ParityLimits:
    """Limits of one precision."""

    cosine_min: float
    """Smallest cosine of any text's vector with its reference."""
    cosine_mean: float
    """Mean cosine of all texts' vectors with their references."""
    neighbours: float
    """Smallest share of a text's ten nearest texts, on average, that are its ten nearest by the reference too."""
    argmax_agreement: float
    """Smallest share of the rows of all texts in which the highest logit is the reference's highest."""
    max_abs_diff: float
    """Largest difference of any component or logit from the reference."""
    answers_agreement: float
    """Smallest share of what the final answers decide, such as the first label or where an entity ends, that is decided
    as the library does."""
    answers_max_abs_diff: float
    """Largest difference of any number of the final answers, over the largest of the library's."""
    company_max_abs_diff: float
    """Largest difference of any component or logit between a text alone and in company."""
    length_growth: float
    """How many times as large the largest difference of any long text may be as that of a usual short one. What rounds
    positions, as angles in fp16, is within every other limit until texts are long enough."""


PARITY_LIMITS: dict[Precision, ParityLimits] = {
    Precision.FP32: ParityLimits(
        cosine_min=0.99999,
        cosine_mean=0.99999,
        neighbours=0.999,
        argmax_agreement=0.9995,  # one of 64 lies in 0.9160 to 0.9996: a single near tie decides nothing
        max_abs_diff=1e-4,
        answers_agreement=0.9995,
        answers_max_abs_diff=1e-4,
        company_max_abs_diff=1e-5,
        length_growth=3,
    ),
    Precision.BF16: ParityLimits(
        cosine_min=0.999,
        cosine_mean=0.9999,
        neighbours=0.99,
        argmax_agreement=0.995,
        max_abs_diff=0.02,
        answers_agreement=0.995,
        answers_max_abs_diff=0.05,
        company_max_abs_diff=1e-3,
        length_growth=3,
    ),
    Precision.INT8: ParityLimits(
        cosine_min=0.99,
        cosine_mean=0.999,
        neighbours=0.97,
        argmax_agreement=0.995,
        max_abs_diff=0.1,
        answers_agreement=0.995,
        answers_max_abs_diff=0.3,
        company_max_abs_diff=1e-3,
        length_growth=3,
    ),
    Precision.FP16: ParityLimits(
        cosine_min=0.9999,
        cosine_mean=0.9999,
        neighbours=0.99,
        argmax_agreement=0.995,
        max_abs_diff=1e-2,
        answers_agreement=0.995,
        answers_max_abs_diff=0.03,
        company_max_abs_diff=1e-3,
        length_growth=3,
    ),
}


TIE = 1e-3
"""How far apart two logits may be, over the standard deviation of a token's, for FP32 of another order to turn them
round: ten times what each may be off."""


@dataclass(frozen=True, kw_only=True)
class GenerationLimits:
    """Limits of one precision of a pipeline that generates. Its logits are compared while both follow the library's
    tokens: a text that goes on by itself is another for ever after the first tie that falls the other way."""

    tokens_identical: float
    """Smallest share of texts whose tokens are all the library's, where the likeliest is taken."""
    tie_margin: float
    """Where tokens differ, how far apart the library's two likeliest may be at the first one, over the standard
    deviation of its logits."""
    logits_max_diff: float
    """Largest difference of any logit, over the standard deviation of the reference's at that token."""
    logits_rms_diff: float
    """Largest root of the mean of the squares of the differences of all logits of a text, over the same: what rounding
    does everywhere, and not at a few peaks alone."""
    argmax_agreement: float
    """Smallest share of all tokens at which the highest logit is the reference's highest, or `TIE` below it."""
    divergence: float
    """Largest mean of the Kullback-Leibler divergences of the reference's probabilities to ours, in nats."""
    beams_as_good: float
    """Smallest share of texts with beams whose best hypothesis is the library's, or has a score that is no lower, but
    for rounding; 0 where it is told and decides nothing."""
    company_identical: float
    """Smallest share of texts with the same tokens alone as beside others that come and go."""
    nonfinite: float
    """Most texts for which the network gives NaN or infinity."""


GENERATION_LIMITS: dict[Precision, GenerationLimits] = {
    Precision.FP32: GenerationLimits(
        tokens_identical=0.99,  # of 64 texts all
        tie_margin=TIE,
        logits_max_diff=1e-4,
        logits_rms_diff=5e-5,
        argmax_agreement=0.9999,
        divergence=1e-6,
        beams_as_good=0.99,
        company_identical=1.0,
        nonfinite=0,
    ),
    # Of half a million logits the largest difference counts, over the standard deviation, of which a peak has many.
    Precision.BF16: GenerationLimits(
        tokens_identical=0.9,
        tie_margin=0.04,
        logits_max_diff=0.1,  # a logit of 10 standard deviations is rounded by 0.02 itself; of the T5 of the tests 0.08
        logits_rms_diff=0.02,  # of the same T5 0.013
        argmax_agreement=0.995,
        divergence=1e-3,
        beams_as_good=0.0,
        company_identical=1.0,
        nonfinite=0,
    ),
    Precision.INT8: GenerationLimits(
        tokens_identical=0.8,
        tie_margin=0.2,
        logits_max_diff=0.2,  # of the trained T5 of the tests 0.15, the largest of half a million logits
        logits_rms_diff=0.05,  # 0.031
        argmax_agreement=0.985,
        divergence=1e-2,
        beams_as_good=0.0,
        company_identical=1.0,
        nonfinite=0,
    ),
}

TEXTS_AS_CERTIFIED = 0.98
"""Smallest share of texts, and of those with beams, that a server must make as the certified step did, in every
precision: the same graphs on the same kind of processor make the same of all. Of 64 texts one may be another, of 16
none."""


Limits = TypeVar("Limits", ParityLimits, GenerationLimits)

BY_JUDGEMENT = ("answers_agreement", "answers_max_abs_diff", "length_growth")
"""Limits that are a judgement of what a caller can bear, and no result of measuring many checkpoints: the manifest
names them as such, and `docs/precision.md` says what was seen."""


def limits_for(precision: Precision, overrides: Mapping[str, float]) -> ParityLimits:
    """The limits of a precision, some of them replaced.

    Raises:
        InvalidConfig: an override is none of the limits, or no finite number.
    """
    return _replaced(PARITY_LIMITS[precision], overrides)


def generation_limits_for(precision: Precision, overrides: Mapping[str, float]) -> GenerationLimits:
    """The limits of a precision of a pipeline that generates, some of them replaced. Raises as `limits_for`."""
    return _replaced(GENERATION_LIMITS[precision], overrides)


def _replaced(limits: Limits, overrides: Mapping[str, float]) -> Limits:
    known = [field.name for field in fields(limits)]
    for name, limit in overrides.items():
        if name not in known:
            raise InvalidConfig(f"--limits {name}: no such limit; the limits are {', '.join(known)}")
        if not math.isfinite(limit):
            raise InvalidConfig(f"--limits {name}: {limit}; a finite number is expected")
    return replace(limits, **overrides)


def _table(precision: Precision, limits: ParityLimits | GenerationLimits) -> dict[str, float]:
    table = GENERATION_LIMITS if isinstance(limits, GenerationLimits) else PARITY_LIMITS
    return asdict(table[precision])


def overridden(precision: Precision, limits: ParityLimits | GenerationLimits) -> dict[str, dict[str, float]]:
    """Which limits differ from those of the table, for the manifest: the table's and the one that was used."""
    table, used = _table(precision, limits), asdict(limits)
    return {name: {"table": table[name], "used": used[name]} for name in table if table[name] != used[name]}


def relaxed(precision: Precision, limits: ParityLimits | GenerationLimits) -> list[str]:
    """Which limits ask for less than the table: smaller ones of shares and cosines, larger ones of differences."""
    table, used = _table(precision, limits), asdict(limits)
    at_most = [name for name in table if name.endswith(("_diff", "_growth", "_margin", "divergence", "nonfinite"))]
    return [name for name in table if (used[name] > table[name] if name in at_most else used[name] < table[name])]


def parse_limits(given: Sequence[str]) -> dict[str, float]:
    """Limits out of arguments, each `name=number` or a file with a JSON object of such pairs; later ones win.

    Raises:
        InvalidConfig: an argument is neither.
    """
    limits: dict[str, float] = {}
    for argument in given:
        name, equals, value = argument.partition("=")
        pairs = {name: value} if equals else _read(Path(argument))
        for key, number in pairs.items():
            try:
                limits[key] = float(number)
            except (TypeError, ValueError):
                raise InvalidConfig(f"--limits {argument}: {key} is {number!r}, not a number") from None
    return limits


def _read(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidConfig(
            f"--limits {file}: neither name=number nor a file with a JSON object of them: {error}"
        ) from error
    if not isinstance(read, dict):
        raise InvalidConfig(f"--limits {file}: holds a {type(read).__name__}, not a JSON object")
    return read
