"""The questions of health, by which the server's own supervision asks a step whether it works.

Such a question waits for nobody and is never refused, so that overload is told from death. Nobody else can jump the
queue in this way: a question carries a token that only the operator knows, and is about one short text; those
that come faster than supervision asks wait like others.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable, Mapping

PARAMETER = "health"
"""The request parameter with the token."""
TOKEN_VARIABLE = "ENCSERVE_HEALTH_TOKEN"
"""The environment variable of the server with the token. Without it nobody may ask so."""
MOST_TOKENS = 64
"""The most tokens of a question as it was sent, as estimated, with those that are to be made."""
PAUSE_S = 0.05
"""The mean seconds between two questions that are let in at once."""
BURST = 5
"""The number of questions that may come together: of supervision, and of probes beside it."""


class HealthQuestions:
    """Decides which requests are questions of health."""

    def __init__(
        self, environment: Mapping[str, str] = os.environ, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._token = environment.get(TOKEN_VARIABLE, "")
        self._clock = clock
        self._next_s = 0.0

    def shows_token(self, token: object) -> bool:
        """Return whether `token` is the one that only the operator knows."""
        if not (self._token and isinstance(token, str) and token.isascii()):
            return False
        return hmac.compare_digest(token, self._token)

    def is_one(self, token: object, tokens: int) -> bool:
        """Return whether a request with this `token` about so many tokens is to be let in at once."""
        if not self.shows_token(token) or tokens > MOST_TOKENS:
            return False
        now_s = self._clock()
        next_s = max(self._next_s, now_s) + PAUSE_S
        if next_s > now_s + (BURST + 0.5) * PAUSE_S:
            return False
        self._next_s = next_s
        return True
