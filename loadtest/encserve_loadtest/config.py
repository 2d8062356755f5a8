"""The options of the planner, checked when built."""

import socket
from dataclasses import dataclass
from pathlib import Path

from encserve._transport.addresses import DEFAULT_URL
from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.traffic.corpus import DEFAULT as DEFAULT_CORPUS
from encserve_loadtest.traffic.corpus import Mix
from encserve_loadtest.traffic.shapes import SHAPES

METRICS_PORT = 8002

DEFAULT_TIME_LIMIT_S = 360.0
QUICK_TIME_LIMIT_S = 120.0
LEAST_TIME_LIMIT_S = 20.0
SEARCH_SHARE = 0.8
"""The search for the capacity has this share of the time limit; the curve, its test and what lies between have the
rest."""


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """What to plan for."""

    model: str
    target_p99_s: float
    """The latency that 99 % of the requests should not exceed."""
    first_p99_s: float | None = None
    """The time to the first piece of an answer that 99 % of the requests should not exceed, too; None where answers are
    to come whole."""
    made: str | None = None
    """How long new texts are: tokens, a built-in distribution, or a file, see `made_lengths`; None as they become."""
    rate_per_s: float | None = None
    """Requests per second of all users; None to learn the capacity of one replica only."""
    url: str = DEFAULT_URL
    """The server's gRPC endpoint."""
    metrics_url: str | None = None
    """Triton's metrics endpoint; None is port 8002 of the server's host."""
    corpus: str = DEFAULT_CORPUS
    keep_texts: bool = False
    texts_per_request: int = 1
    arrivals: str = "poisson"
    """A process, or a file of timestamps."""
    shape: str | None = None
    """A shape to run in the end, with the capacity as its peak."""
    window_s: float = 4.0
    """How long one window lasts of the curve and of a shape; at low rates it is longer. The search has its own
    lengths."""
    time_limit_s: float = DEFAULT_TIME_LIMIT_S
    """How long to measure, without a shape; `tune` may take as long again."""
    quick: bool = False
    """Whether to call the interval a range, since so short a search promises nothing."""
    simulate: Path | None = None
    """A day whose fleet is simulated in the end."""
    start_s: float = 120.0
    """How long a replica takes to start, for the simulation."""
    trace: Path | None = None
    """Texts in the order in which users sent them, whose repeats are counted."""
    replica_cost_per_hour: float | None = None
    tune: bool = False
    """Whether to try other settings, on servers of its own."""
    repository: Path = Path("model_repository")
    """Where the pipeline is, for `tune`."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("target_p99_s", "first_p99_s", "rate_per_s", "window_s", "time_limit_s", "start_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InvalidPlan(f"{name} is {value}, it must be positive")
        if self.time_limit_s < LEAST_TIME_LIMIT_S:
            raise InvalidPlan(
                f"the time limit is {self.time_limit_s:g} s, a plan takes {LEAST_TIME_LIMIT_S:g} s at least"
            )
        if self.first_p99_s is not None and self.first_p99_s > self.target_p99_s:
            raise InvalidPlan(
                f"the first piece may take {self.first_p99_s:g} s, and the whole answer {self.target_p99_s:g} s"
            )
        if self.first_p99_s is not None and self.texts_per_request != 1:
            raise InvalidPlan(f"texts per request is {self.texts_per_request}; an answer in pieces is of one text")
        if self.replica_cost_per_hour is not None and self.replica_cost_per_hour < 0:
            raise InvalidPlan(f"the cost of a replica is {self.replica_cost_per_hour}, it must not be negative")
        if self.shape is not None and self.shape not in SHAPES:
            raise InvalidPlan(f"the shape is {self.shape!r}, expected {', '.join(SHAPES)}")

    @property
    def mix(self) -> Mix:
        """Which texts are sent."""
        return Mix(
            corpus=self.corpus,
            keep_texts=self.keep_texts,
            texts_per_request=self.texts_per_request,
            seed=self.seed,
            made=self.made,
            streams=self.first_p99_s is not None,
        )

    @property
    def first_weight(self) -> float:
        """By what times to first pieces are multiplied to be held to the target of whole answers; 0 for none."""
        return self.target_p99_s / self.first_p99_s if self.first_p99_s else 0.0

    @property
    def server_is_here(self) -> bool:
        """Whether the server is on the machine of the generator, as its address says."""
        host = self.url.rpartition(":")[0].strip("[]")
        return host in ("localhost", "::1", socket.gethostname()) or host.startswith("127.")

    @property
    def metrics_endpoint(self) -> str:
        """Where to scrape."""
        host = self.url.rpartition(":")[0]
        return self.metrics_url or f"http://{host}:{METRICS_PORT}/metrics"

    @property
    def timeout_s(self) -> float:
        """How long one request may take: far beyond the target, so that its lateness is seen."""
        return max(10 * self.target_p99_s, 10.0)
