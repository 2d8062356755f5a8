"""A call with its texts and its options, and what the two pipelines are asked for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..request.call import Call
from ..request.options import Options
from .member import MemberRefused, Question
from .refusals import Refusal


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One call."""

    call: Call
    inputs: Mapping[str, Sequence[bytes]]
    """The texts, by input."""
    options: Options
    given_up: threading.Event = field(default_factory=threading.Event)
    """Set once a message said that its caller has given it up."""

    @property
    def texts(self) -> int:
        """Return how many texts, or pairs of texts, it is about."""
        return max(map(len, self.inputs.values()))

    def question(self, rows: Sequence[int] | None = None) -> Question:
        """Return what a pipeline is asked now, about all texts or about `rows` of them.

        Raises:
            MemberRefused: the time of the call is used up.
        """
        timeout_s = self.call.timeout_s
        left_s = timeout_s - (time.monotonic() - self.call.arrived_s)
        if timeout_s and left_s <= 0:
            message = f"timeout of {timeout_s:g} s was used up before the next pipeline was asked"
            raise MemberRefused(Refusal.UNAVAILABLE, message)
        return Question(
            inputs=self.inputs if rows is None else self._of(rows),
            parameters=self.call.parameters,
            request_id=self.call.id,
            timeout_s=left_s if timeout_s else 0.0,
        )

    def _of(self, rows: Sequence[int]) -> dict[str, Sequence[bytes]]:
        """Return the texts of some rows; one text that goes with all others stays."""
        return {
            name: [texts[row] for row in rows] if len(texts) == self.texts else texts
            for name, texts in self.inputs.items()
        }
