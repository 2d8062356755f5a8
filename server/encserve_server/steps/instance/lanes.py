"""The two lanes of a pipeline: requests that somebody waits for, and requests that fill what is left."""

from __future__ import annotations

INTERACTIVE = "interactive"
BULK = "bulk"
LANES = (INTERACTIVE, BULK)
"""The values of the option `lane`, which every pipeline has; the first is the default."""
