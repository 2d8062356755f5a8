"""Which token comes next: the likeliest, or one that is drawn.

The logits are changed as transformers does it and in its order: by `rules`, then by temperature, `top_k` and `top_p`.
What is drawn depends on the seed and the place alone, so that a text has the same answer alone and beside
others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...request.options import InvalidArgument
from .rules import Rules

FIRST_LOOKED_AT = 64
"""How many of the likeliest tokens are put in order first, where `top_k` does not say how many there are: they nearly
always have the probability that is needed, and to order a whole vocabulary of 250,000 took 60 ms where this took 15."""

EARLY_STOPPING: dict[str, bool | str] = {"true": True, "false": False, "never": "never"}
"""Values of the option `early_stopping`, and those of transformers."""

ONLY_WITH_BEAMS = ("length_penalty", "early_stopping")
"""Options that mean nothing where there is one hypothesis."""

ONLY_DRAWN = ("temperature", "top_k", "top_p", "seed")
"""Options that mean nothing where the likeliest token is taken."""


@dataclass(frozen=True, kw_only=True)
class Choice(Rules):
    """How the tokens of one text are chosen."""

    beams: int = 1
    """How many hypotheses are followed, of which the best becomes the text."""
    length_penalty: float = 1.0
    """With beams, by which power of its number of tokens the score of a hypothesis is divided."""
    early_stopping: bool | str = False
    """With beams, whether there is an end when so many hypotheses have ended; or when no other can be better: by an
    estimate, or with "never" for certain."""
    drawn: bool = False
    """Whether tokens are drawn by their probability."""
    temperature: float = 1.0
    top_k: int = 0
    """Only so many of the likeliest are drawn from; 0 for all."""
    top_p: float = 1.0
    """Only the likeliest are drawn from that together have this probability."""
    seed: int = 0
    stream: int = 0
    """Which text of its request: each has a random sequence of its own."""

    def token(self, logits: NDArray[np.float32], made: Sequence[int], most: int) -> int:
        """Return the token after those that were `made`, of `most` that there may be, out of its logits (V,)."""
        if not self.drawn and self.repetition_penalty == 1.0 and not self.forced(made, most):
            likeliest = int(logits.argmax())
            if likeliest not in self.banned(made):  # as nearly always, so that the vocabulary is not copied
                return likeliest
        logits, before = self.applied(logits, made, most), len(made)
        if not self.drawn:
            return int(logits.argmax())
        drawn = np.random.Generator(np.random.Philox(key=[self.seed, self.stream], counter=[before, 0, 0, 0])).random()
        tokens, probabilities = self._likeliest_of(logits, least=drawn)
        place = int(np.searchsorted(probabilities.cumsum(), drawn, side="right"))
        return int(tokens[min(place, len(tokens) - 1)])

    def candidates(self, logits: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the tokens that may be drawn, the likeliest first, and the probability of each; from logits (V,)."""
        return self._likeliest_of(logits, least=1.0)

    def _likeliest_of(
        self, logits: NDArray[np.float32], *, least: float
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the tokens that may be drawn, as many of the likeliest as have more than the probability `least`
        together, and the probability of each among all that may be."""
        with np.errstate(over="ignore"):  # near 0 all but the likeliest are infinitely less likely
            warm = (logits.astype(np.float64) - float(logits.max())) / self.temperature
        if self.top_k:
            tokens = _highest(warm, self.top_k)
            total = np.exp(warm[tokens]).sum()
        else:
            total = np.exp(warm).sum()
            needed = self.top_p if self.top_p < 1.0 else least  # of what `top_p` keeps each is needed, to divide by it
            tokens, count = _highest(warm, FIRST_LOOKED_AT), FIRST_LOOKED_AT
            while len(tokens) < len(warm) and np.exp(warm[tokens]).sum() <= needed * total:
                count *= 8
                tokens = _highest(warm, count)
        tokens = tokens[np.isfinite(warm[tokens])]
        probabilities = np.exp(warm[tokens]) / total
        if self.top_p < 1.0:
            before = probabilities.cumsum() - probabilities  # of those that are likelier
            kept = max(1, int((before < self.top_p).sum()))
            tokens, probabilities = tokens[:kept], probabilities[:kept] / probabilities[:kept].sum()
        return tokens, probabilities


def _highest(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the places of the `count` highest of values (V,), the highest first, and of equal ones the first."""
    if count >= len(values):
        return np.argsort(-values, kind="stable")
    least = np.partition(values, -count)[-count]
    places = np.flatnonzero(values >= least)
    return places[np.argsort(-values[places], kind="stable")][:count]


def choices_of(
    given: Mapping[str, Any], options: Mapping[str, Any], texts: int, *, rules: Mapping[str, Any], chance: int
) -> list[Choice]:
    """Return how the tokens of each text of a request are chosen.

    Args:
        given: the options that the request has chosen itself.
        options: those, and the defaults of the others.
        texts: of the request.
        rules: what holds for all texts of the pipeline, as `rules_in` says it.
        chance: the seed of a request that names none.

    Raises:
        InvalidArgument: an option is given that means nothing here, or two do not go together.
    """
    drawn, beams = bool(options["do_sample"]), options["num_beams"]
    for name in ONLY_DRAWN:
        if not drawn and name in given:
            raise InvalidArgument(f"option {name} is given; it means nothing where do_sample is false")
    for name in ONLY_WITH_BEAMS:
        if beams == 1 and name in given:
            raise InvalidArgument(f"option {name} is given; it means nothing where num_beams is 1")
    if beams > 1:
        _check_beams(given, options)
    least, most = options["min_new_tokens"], options["max_new_tokens"]
    if "min_new_tokens" not in given:  # what a checkpoint wants of its long texts refuses nobody a short one
        least = min(least, most)
    if least > most:
        raise InvalidArgument(f"option min_new_tokens is {least}; max_new_tokens is {most}")
    return [
        Choice(
            **rules,
            min_new_tokens=least,
            repetition_penalty=options["repetition_penalty"],
            no_repeat_ngram_size=options["no_repeat_ngram_size"],
            beams=beams,
            length_penalty=options["length_penalty"],
            early_stopping=EARLY_STOPPING[options["early_stopping"]],
            drawn=drawn,
            temperature=options["temperature"],
            top_k=options["top_k"],
            top_p=options["top_p"],
            seed=chance if options["seed"] is None else options["seed"],
            stream=index,
        )
        for index in range(texts)
    ]


def _check_beams(given: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Refuse what does not go with beams, of which a text has no tokens before it has ended. Raises InvalidArgument."""
    for name, why in {
        "do_sample": "beams follow the likeliest tokens",
        "stream": "a text has no pieces before its best hypothesis is known",
        "stop": "the strings of one hypothesis end no other",
    }.items():
        if options[name]:
            raise InvalidArgument(
                f"option {name} is {'given' if name in given else 'on by default'}; num_beams is "
                f"{options['num_beams']}, and {why}: give num_beams 1{'' if name in given else f', or {name} false'}"
            )
