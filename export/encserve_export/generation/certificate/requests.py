"""What the library, the step and a server are asked for a certificate: texts of the corpus, and with which options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from encserve_export.generation.defaults import GenerationDefaults
from encserve_export.reference.messages import Asked
from encserve_export.texts.parts import Part, corpus_of

TEXTS = 64
SEARCHED_EVERY = 4
"""Of so many texts one is asked with beams, too, which take the library as many times as long."""
BEAMS = 4
"""How many are followed where the checkpoint does not say it."""
MOST_NEW_TOKENS = 64
"""Longer texts would differ no more: logits are compared at each token."""
_LANGUAGES_APART = 7


@dataclass(frozen=True)
class Requests:
    """Requests of one text each."""

    likeliest: list[Asked]
    """The likeliest token is taken each time."""
    searched: list[Asked]
    """Some of the same, with beams."""

    @property
    def all(self) -> list[Asked]:
        """Those with beams among those without, so that both are under way side by side."""
        mixed = list(self.likeliest)
        for place, asked in enumerate(self.searched):
            mixed.insert(place * (SEARCHED_EVERY + 1), asked)
        return mixed

    @property
    def numbers(self) -> list[int]:
        """Of each of `all` the number of its text, among those of `likeliest`."""
        numbers = {id(asked): number for number, asked in enumerate(self.likeliest)}
        numbers |= {id(asked): SEARCHED_EVERY * place for place, asked in enumerate(self.searched)}
        return [numbers[id(asked)] for asked in self.all]


def requests_for(defaults: GenerationDefaults, languages: Sequence[str], max_length: int) -> Requests:
    """The requests for a checkpoint: with its prompts and languages in turn, of up to about `max_length` tokens."""
    texts = [each.text for each in corpus_of(Part.CERTIFICATE).sample(TEXTS, longest_tokens=max_length)]
    names = ["", *sorted(defaults.prompts)]
    options = options_for(defaults)
    asked = [
        Asked({"text": [text]}, options | {"prompt_name": names[index % len(names)]} | _between(languages, index))
        for index, text in enumerate(texts)
    ]
    beams = defaults.num_beams if defaults.num_beams > 1 else BEAMS
    return Requests(
        likeliest=[Asked(each.inputs, each.options | {"num_beams": 1}) for each in asked],
        searched=[Asked(each.inputs, each.options | {"num_beams": beams}) for each in asked[::SEARCHED_EVERY]],
    )


def options_for(defaults: GenerationDefaults) -> dict[str, Any]:
    """The options of all requests of the certificate, but for prompts, languages and beams: the checkpoint's, cut to
    fewer tokens."""
    most = min(defaults.max_new_tokens, MOST_NEW_TOKENS)
    return {"max_new_tokens": most, "min_new_tokens": min(defaults.min_new_tokens, most), "do_sample": False}


def _between(known: Sequence[str], index: int) -> dict[str, Any]:
    """Two of the languages, which are others for each text."""
    if not known:
        return {}
    return {
        "source_language": known[index % len(known)],
        "target_language": known[(_LANGUAGES_APART * index + 1) % len(known)],
    }
