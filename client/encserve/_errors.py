"""The errors of encserve. Whatever goes wrong, `except EncserveError` sees it.

EncserveError
├── InvalidInput (also ValueError)
├── TransportError
│   ├── Unavailable
│   │   └── Overloaded
│   │       └── RateLimited
│   └── DeadlineExceeded
├── ServerError
│   ├── AccessDenied
│   ├── ModelNotFound
│   └── InferenceFailed
└── ContractError
"""


class EncserveError(Exception):
    """The root of all errors that encserve raises on purpose."""

    model: str
    """The model that was asked; empty where the error concerns no model."""
    version: str
    """The model version; empty where the caller asked for none and no answer named one."""
    request_id: str
    """The id under which the server logged the request; empty where none was sent."""
    timeout_s: float | None
    """Seconds that the request had, with all its retries."""
    status: str
    """The gRPC status the server answered with, such as "NOT_FOUND"; empty where it did not answer."""
    rows_done: int | None
    """How many leading rows of the call had been answered; None where the call had not begun to send.

    The request that failed begins with this row, and a text that the server's message names by number counts from it.
    """
    rows_total: int | None
    """How many rows the call was for; None where that is not known, as with a generator."""

    def __init__(
        self,
        message: str,
        *,
        model: str = "",
        version: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
        status: str = "",
    ) -> None:
        super().__init__(message)
        self.model = model
        self.version = version
        self.request_id = request_id
        self.timeout_s = timeout_s
        self.status = status
        self.rows_done = None
        self.rows_total = None

    def __str__(self) -> str:
        facts = {"model": self.model, "version": self.version, "status": self.status, "request": self.request_id}
        if isinstance(self, TransportError) and self.timeout_s is not None:
            facts["timeout"] = f"{self.timeout_s:g} s"
        context = ", ".join(f"{name} {value}" for name, value in facts.items() if value)
        return super().__str__() + (f" ({context})" if context else "") + self._progress()

    def _progress(self) -> str:
        if self.rows_done is None or self.rows_total == 1:
            return ""
        of_total = "" if self.rows_total is None else f" of {self.rows_total}"
        if self.rows_done == 0:
            return f"; no row{of_total} is done"
        done = f"; rows 0 to {self.rows_done - 1}{of_total} are done"
        if self.status and isinstance(self, InvalidInput):  # the server knows the texts of one request only
            done += f", and the server counts texts from row {self.rows_done}"
        return done


class InvalidInput(EncserveError, ValueError):
    """The caller's mistake: refused before sending, or by the server with INVALID_ARGUMENT."""


class TransportError(EncserveError):
    """No answer came: the connection failed, or the client was closed."""


class Unavailable(TransportError):
    """The server is down, and stayed so through all retries; or it is up and has no room, which is `Overloaded`."""


class Overloaded(Unavailable):
    """There is more work than can be done before the deadline: the server refused the request and went on doing so, or
    the client saw that its own waiting requests leave too little time."""


class RateLimited(Overloaded):
    """A gateway let no more requests of this key through, and said when to come back.

    It is repeated like other `Unavailable`, but not before that time, and not at all where the deadline comes first.
    """

    retry_after_s: float | None = None
    """Seconds to wait before the next request."""


class DeadlineExceeded(TransportError):
    """No answer came within `timeout_s`."""


class ServerError(EncserveError):
    """The server answered, with an error that is not the caller's."""


class AccessDenied(ServerError):
    """The server, or the gateway before it, wants a secret or a key for this, and none or a wrong one was sent."""


class ModelNotFound(ServerError):
    """The server has no such model, or no such version of it."""


class InferenceFailed(ServerError):
    """The server failed on this request, for a reason that is not the caller's."""

    texts: tuple[int, ...] = ()
    """The texts of the request at which the network failed, where the server says so, counted from 0."""


class ContractError(EncserveError):
    """The model is no pipeline of this contract, its answer lacks a promised tensor or has another shape or dtype, or
    two versions answered one call."""
