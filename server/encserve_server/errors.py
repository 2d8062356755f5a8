"""The errors that can come between `encserve serve` and a server that answers."""

from encserve import EncserveError


class ServeError(EncserveError):
    """Root of the launcher's errors."""


class ConfigError(ServeError, ValueError):
    """An option is outside its limits."""


class RepositoryError(ServeError):
    """The model repository is missing, holds no pipeline, or differs from what was exported."""


class TritonNotFound(ServeError):
    """There is no `tritonserver` on this host."""


class UnsupportedHost(ServeError):
    """The `tritonserver` found here cannot run on this host."""


class PortTaken(ServeError):
    """A port cannot be bound."""


class StartFailed(ServeError):
    """Triton ended, or was not ready in time, before every pipeline had answered."""


class ServerDied(ServeError):
    """Triton ended without having been asked to."""


class GaveUp(ServeError):
    """The server ended, or did not start again, so often in a row that it is not tried again here."""


class Unhealthy(ServeError):
    """A pipeline that should answer does not."""


class PromotionFailed(ServeError):
    """A version was not put in the place of another, which goes on serving."""
