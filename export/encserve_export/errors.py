"""Errors of the exporter."""

from __future__ import annotations

from encserve import EncserveError


class ExportError(EncserveError):
    """An export that cannot be done; nothing was published."""


class InvalidConfig(ExportError, ValueError):
    """An option of the export is wrong."""


class CheckpointError(ExportError):
    """The checkpoint cannot be read, or lacks something."""


class Unsupported(ExportError):
    """The checkpoint holds something that cannot be served correctly, so it is refused."""


class UnsupportedHost(ExportError):
    """This host cannot make what was asked for."""


class CertificateFailed(ExportError):
    """The graph does not agree with the checkpoint; the message says which number failed its limit."""


class WayFailed(CertificateFailed):
    """The encode step cannot be served in the way in which it was made: a figure misses its limit, or its runtime does
    not load or run the graph. Made in another way it may be."""


class PublishError(ExportError):
    """The model repository cannot be written."""
