"""How a client sends: checked once, when the client is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

from encserve._call import Terms
from encserve._errors import InvalidInput
from encserve._messages import Parameter
from encserve._protocol import LANES, one_of
from encserve._retry import Retry, Schedule

DEFAULT_URL = "localhost:8001"
"""Where `encserve serve` and stock Triton listen for gRPC."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The arguments of both clients; see `Client`."""

    timeout_s: float
    retry: Retry
    concurrency: int
    texts_per_request: int

    def __post_init__(self) -> None:
        check_timeout(self.timeout_s)
        for name in ("concurrency", "texts_per_request"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}, it must be 1 or more")

    def timeout_or_default(self, timeout_s: float | None) -> float:
        """The timeout of a call that may have its own, in seconds."""
        return self.timeout_s if timeout_s is None else check_timeout(timeout_s)

    def terms(
        self,
        model: str,
        options: Mapping[str, Parameter],
        *,
        progress: bool,
        timeout_s: float | None,
        priority: str | None,
    ) -> Terms:
        """The arguments that every call has, with the timeout of this client where the call has none of its own."""
        timeout_s = self.timeout_or_default(timeout_s)
        return Terms(
            model=model,
            options=options,
            progress=progress,
            timeout_s=timeout_s,
            priority=one_of("priority", priority, LANES),
        )

    def schedule(self, timeout_s: float) -> Schedule:
        """The attempts of one request that begins now."""
        return Schedule(self.retry, timeout_s=timeout_s)


MAX_TIMEOUT_S = 1e9
"""Thirty years: what clocks, threads and Triton's microseconds can still count."""


def check_timeout(timeout_s: float) -> float:
    """Return `timeout_s` if it is a positive number of seconds, at most `MAX_TIMEOUT_S`.

    Raises:
        InvalidInput: it is not.
    """
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, Real) or not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise InvalidInput(
            f"timeout_s is {timeout_s!r}, expected a positive number of seconds, at most {MAX_TIMEOUT_S:.0e}"
        )
    return timeout_s
