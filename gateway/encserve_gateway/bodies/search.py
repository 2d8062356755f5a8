"""How the tokens of a new text are searched for: beams, and what they are ranked by, as transformers and vLLM do."""

from __future__ import annotations

from typing import Any

from encserve_gateway.bodies.fields import Fields

SEARCH = ("num_beams", "length_penalty", "early_stopping", "repetition_penalty", "no_repeat_ngram_size")
"""The fields that `search_of` reads, as `generate` of transformers names them."""

_WHEN = {True: "true", False: "false"} | {word: word for word in ("true", "false", "never")}


def search_of(fields: Fields) -> dict[str, Any]:
    """The options of the verb `generate` by which tokens are searched for; None where the request leaves one to the
    checkpoint. Raises Fault."""
    early = fields.get("early_stopping")
    if early is not None and (not isinstance(early, bool | str) or early not in _WHEN):
        raise fields.wrong("early_stopping", "is not one of true, false and never")
    return {
        "num_beams": fields.whole("num_beams", least=1),
        "length_penalty": fields.number("length_penalty"),
        "early_stopping": None if early is None else _WHEN[early],
        "repetition_penalty": fields.number("repetition_penalty"),
        "no_repeat_ngram_size": fields.whole("no_repeat_ngram_size", least=0),
    }


def beams_of(fields: Fields, *, default: int) -> int | None:
    """How many beams a request to OpenAI's completions asks for: `num_beams`, or with `use_beam_search` of vLLM
    `best_of`. None leaves it to the checkpoint, whose number is `default`. Raises Fault."""
    beams, best_of = fields.whole("num_beams", least=1), fields.whole("best_of", least=1)
    searches = fields.flag("use_beam_search", False) if "use_beam_search" in fields else None
    if not searches and best_of not in (None, 1):
        raise fields.wrong("best_of", f"is {best_of}; it must be 1 here, unless use_beam_search is true")
    if searches is None:
        return beams
    if not searches:
        if beams not in (None, 1):
            raise fields.wrong("use_beam_search", f"is false, and num_beams is {beams}")
        return 1 if default > 1 else None
    if beams is not None and best_of is not None and beams != best_of:
        raise fields.wrong("best_of", f"is {best_of}, and num_beams is {beams}")
    asked = beams or best_of or default
    if asked == 1:
        raise fields.wrong("use_beam_search", "is true; best_of or num_beams says how many beams there are, 2 or more")
    return asked
