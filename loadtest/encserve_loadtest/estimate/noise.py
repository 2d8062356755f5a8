"""What an unquiet machine does to a capacity: it is marked, widened, or refused.

Where the limits come from is measured by `benchmarks/capacity/unquiet.py`, and told in docs/capacity.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from encserve_loadtest.estimate.capacity import Capacity, Confidence
from encserve_loadtest.measurement.host_watch import HostState
from encserve_loadtest.quantities import percent

MARKED_STEAL, REFUSED_STEAL = 0.01, 0.10
"""Shares of the processor time that the hypervisor took, from which on the plan says so, and promises nothing."""
MARKED_DRIFT, REFUSED_DRIFT = 0.03, 0.20
"""The same of the difference between the fastest and the slowest run of the busy loop."""
MARKED_OTHERS, REFUSED_OTHERS = 0.10, 0.50
"""The same of the share of the processor time that others used while the plan sent nothing."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How unquiet this machine was."""

    steal_share: float
    """The mean over the runs."""
    drift: float
    """How much faster the busy loop was in the fastest run than in the slowest, as a share."""
    others_share: float
    """The processor time of others while nothing was sent, before the plan or after it, whichever was more."""
    server_here: bool
    """Whether the server is on this machine, too: then it was as unquiet as the generator."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """What a reader must know; empty for a quiet machine."""
        said = []
        if self.steal_share > MARKED_STEAL:
            said.append(f"the hypervisor took {percent(self.steal_share)} of this host's processor time")
        if self.drift > MARKED_DRIFT:
            said.append(f"a busy loop beside the runs was {percent(self.drift)} faster in one than in another")
        if self.others_share > MARKED_OTHERS:
            said.append(f"others used {percent(self.others_share)} of this host's processor time")
        return tuple(said)

    @property
    def is_refused(self) -> bool:
        """Whether nothing measured here can be trusted."""
        return self.steal_share > REFUSED_STEAL or self.drift > REFUSED_DRIFT or self.others_share > REFUSED_OTHERS

    @property
    def widening(self) -> float:
        """By which share either end of an interval is moved out: a server is as fast as its machine."""
        if not self.server_here or not self.reasons:
            return 0.0
        return min(self.drift + self.steal_share, 0.9)

    def applied(self, capacity: Capacity) -> Capacity:
        """The capacity as far as it is known on such a machine."""
        if not self.reasons or capacity.confidence is Confidence.AT_LEAST:
            return replace(capacity, reasons=(*self.reasons, *capacity.reasons))
        reasons = self.reasons
        if self.widening:
            reasons = (*reasons, f"so the interval is wider by {percent(self.widening)} at either end")
        return replace(
            capacity,
            low_per_s=capacity.low_per_s * (1 - self.widening),
            high_per_s=capacity.high_per_s * (1 + self.widening),
            confidence=Confidence.RANGE if self.is_refused else capacity.confidence,
            reasons=(*reasons, *capacity.reasons),
        )


def judge_noise(states: Sequence[HostState], *, others_share: float, server_here: bool) -> Noise:
    """How unquiet the machine was in some runs.

    Args:
        states: of the runs that are compared with each other.
        others_share: the processor time of others while nothing was sent.
        server_here: whether the server runs on this machine.
    """
    speeds = [each.speed for each in states]
    return Noise(
        steal_share=sum(each.steal_share for each in states) / len(states) if states else 0.0,
        drift=max(speeds) / max(min(speeds), 1e-9) - 1 if speeds else 0.0,
        others_share=others_share,
        server_here=server_here,
    )
