"""How the clients of each interface say what becomes of a text that is too long."""

from __future__ import annotations

from encserve_gateway.bodies.fields import Fields
from encserve_gateway.faults import shown

WAYS = {"NONE": "error", "END": "end", "START": "start"}
"""What Cohere and NIM write, in large or small letters."""


def truncation_of(fields: Fields, *, max_length: int) -> str | None:
    """ "end", "start" or "error", by whichever of these fields there is; None where there is none.

    - `truncate`: NONE, END or START, of Cohere and NIM;
    - `truncation`: true or false, of Voyage;
    - `truncation_side`: left or right, and `truncate_prompt_tokens`, of vLLM.

    A length at which to cut must be that of the model or more, since pipelines cut at no other: this goes for
    `truncate_prompt_tokens`, of which -1 is the model's own, and for Cohere's `max_tokens_per_doc` and vLLM's
    `max_tokens_per_query`.

    Raises:
        Fault: a field has another value.
    """
    for name, least in (("truncate_prompt_tokens", -1), ("max_tokens_per_doc", 1), ("max_tokens_per_query", 1)):
        tokens = fields.whole(name, least=least)
        if tokens is not None and 0 <= tokens < max_length:
            problem = f"is {tokens}; this server cuts at the length of the model, {max_length}, or not at all"
            raise fields.wrong(name, problem)
    way = fields.text("truncate")
    if way is not None:
        if way.upper() not in WAYS:
            raise fields.wrong("truncate", f"is {shown(way)}, expected one of {', '.join(map(repr, WAYS))}")
        return WAYS[way.upper()]
    if "truncation" in fields:
        return "end" if fields.flag("truncation", True) else "error"
    side = fields.choice("truncation_side", ("left", "right"))
    if side is not None:
        return "start" if side == "left" else "end"
    return "end" if "truncate_prompt_tokens" in fields else None
