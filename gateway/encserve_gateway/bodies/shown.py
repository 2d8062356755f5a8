"""How a message repeats what a caller wrote."""

SHOWN = 64
"""Characters of a value that a message repeats at most."""


def shown(value: str) -> str:
    """A name or a wrong word of a caller, in quotes and shortened. Texts are never repeated."""
    return repr(value if len(value) <= SHOWN else value[:SHOWN] + "…")
