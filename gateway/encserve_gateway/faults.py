"""What can go wrong with a request, before any dialect has words for it.

Each dialect writes a `Fault` in its own form, and with its own status where its clients expect another; those here are
OpenAI's, which most others share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

from encserve import (
    AccessDenied,
    ContractError,
    DeadlineExceeded,
    EncserveError,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    Overloaded,
    RateLimited,
    TransportError,
    Unavailable,
)


class Kind(Enum):
    """Why a request was not answered, with the HTTP status that most dialects have for it."""

    def __init__(self, word: str, status: int) -> None:
        self.word = word
        self.status = status

    MALFORMED = "malformed", 400
    """The body is no JSON object."""
    INVALID = "invalid", 400
    """A field is missing, or its value is impossible."""
    EMPTY = "empty", 400
    """There is no text where there must be one."""
    TOO_LONG = "too_long", 400
    """A text has more tokens than the pipeline reads, and was not to be cut."""
    WRONG_TASK = "wrong_task", 400
    """The pipeline does something else."""
    NO_KEY = "no_key", 401
    FORBIDDEN = "forbidden", 403
    """The key is known and may not do this."""
    UNKNOWN_ROUTE = "unknown_route", 404
    UNKNOWN_MODEL = "unknown_model", 404
    WRONG_METHOD = "wrong_method", 405
    TOO_SLOW = "too_slow", 408
    """The body did not arrive in time."""
    TOO_LARGE = "too_large", 413
    MEDIA_TYPE = "media_type", 415
    """The body is not plain JSON."""
    RATE_LIMITED = "rate_limited", 429
    """This caller asks more than it may."""
    BROKEN = "broken", 500
    """The answer is not one, or the fault is ours: no repetition helps."""
    FAILED = "failed", 500
    """The pipeline failed on this request."""
    OVERLOADED = "overloaded", 503
    """There is no room for now."""
    UNREACHABLE = "unreachable", 503
    """The pipelines do not answer."""
    LATE = "late", 504
    """There was no answer in time."""


RETRY_AFTER_S = {Kind.OVERLOADED: 1.0, Kind.UNREACHABLE: 1.0, Kind.RATE_LIMITED: 1.0}
"""Seconds after which to ask again, where nobody knows better."""

SHOWN = 64
"""Characters of a value that a message repeats at most."""

LONGEST_RETRY_AFTER_S = 120
"""OpenAI's client gives up where it is told to wait for longer."""

HOPELESS = frozenset({Kind.BROKEN, Kind.LATE})
"""What a client shall not repeat by itself: the same would happen, or the time of its request is over."""

KINDS: tuple[tuple[type[EncserveError], Kind], ...] = (
    (InvalidInput, Kind.INVALID),
    (ModelNotFound, Kind.UNKNOWN_MODEL),
    (RateLimited, Kind.RATE_LIMITED),
    (Overloaded, Kind.OVERLOADED),
    (Unavailable, Kind.UNREACHABLE),
    (DeadlineExceeded, Kind.LATE),
    (TransportError, Kind.UNREACHABLE),
    (AccessDenied, Kind.UNREACHABLE),
    (InferenceFailed, Kind.FAILED),
    (ContractError, Kind.BROKEN),
)
"""Error of the SDK -> what it is here; the first that fits."""

MESSAGES = {
    Kind.RATE_LIMITED: "{subject} takes no more requests of this gateway for now",
    Kind.OVERLOADED: "{subject} has no room for this request in the time that it has",
    Kind.UNREACHABLE: "{subject} cannot be reached for now",
    Kind.LATE: "{subject} gave no answer in time",
    Kind.UNKNOWN_MODEL: "{subject} does not exist",
    Kind.FAILED: "{subject} failed on this request",
    Kind.BROKEN: "{subject} gave an answer that cannot be passed on",
}
"""What a caller is told of errors whose own words are for operators: they have addresses and names of processes."""


class Fault(Exception):
    """A request that is not answered with 200.

    Args:
        kind: why.
        message: for people. It names the field, the limit and the value, and has no text of a caller.
        param: the field of the body that is wrong; empty where none is.
        retry_after_s: when to ask again, in seconds.
    """

    def __init__(self, kind: Kind, message: str, *, param: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.param = param
        self.retry_after_s = RETRY_AFTER_S.get(kind) if retry_after_s is None else retry_after_s

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What tells programs when, and whether, to ask again."""
        headers = []
        if self.retry_after_s is not None:
            wait_s = min(max(math.ceil(self.retry_after_s), 1), LONGEST_RETRY_AFTER_S)
            headers += [(b"retry-after", b"%d" % wait_s), (b"retry-after-ms", b"%d" % (wait_s * 1000))]
        if self.kind in HOPELESS:
            headers.append((b"x-should-retry", b"false"))
        if self.kind is Kind.NO_KEY:
            headers.append((b"www-authenticate", b"Bearer"))
        return headers


class TooLong(Fault):
    """A text that was not to be cut: the one at `where` in the field `param` has `given` tokens, more than the `limit`
    of the pipeline."""

    def __init__(self, where: str, *, param: str, given: int, limit: int) -> None:
        super().__init__(Kind.TOO_LONG, f"{where} has {given} tokens, the limit is {limit}", param=param)
        self.given = given
        self.limit = limit


class WrongMethod(Fault):
    """A request of another method than those of its route, which are `allowed`."""

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(Kind.WRONG_METHOD, f"this route takes {' and '.join(allowed)}")
        self.allowed = allowed

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What tells programs which methods there are."""
        return [*super().headers, (b"allow", ", ".join(self.allowed).encode())]


def shown(value: str) -> str:
    """A name or a wrong word of a caller, in quotes and shortened, for a message. Texts are never repeated."""
    return repr(value if len(value) <= SHOWN else value[:SHOWN] + "…")


def fault_of(error: EncserveError, *, model: str) -> Fault:
    """The fault that an error of the SDK is, for a request about `model`, the name that the caller used, or about none,
    where that is empty."""
    kind = next((kind for cls, kind in KINDS if isinstance(error, cls)), Kind.FAILED)
    retry_after_s = error.retry_after_s if isinstance(error, RateLimited) else None
    if kind is not Kind.INVALID:
        subject = f"the model {shown(model)}" if model else "the server of the models"
        param = "model" if kind is Kind.UNKNOWN_MODEL else ""
        return Fault(kind, MESSAGES[kind].format(subject=subject), param=param, retry_after_s=retry_after_s)
    message = str(error.args[0])
    if error.status and error.rows_done:  # the server knows the texts of one request only
        message += f" (counted from text {error.rows_done})"
    return Fault(kind, message)


def place_of(error: Exception) -> str:
    """Where in the code an error came up, for logs: its words and values may have a text of a caller."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "an unknown place"
