"""Count the rows of a call that are done, show them, and tell them to the error that ends the call."""

from __future__ import annotations

from types import TracebackType

from encserve._conversation.progress import Progress
from encserve._errors import ContractError, EncserveError
from encserve._results import Answer


class VersionChanged(ContractError):
    """Two versions answered one call, so that its answers would not compare."""

    versions: tuple[str, str]
    """The version that answered before, and the one that answers now."""


def check_version(part: Answer, version: str | None) -> None:
    """Refuse a part of a call whose earlier parts, if there are any, come from another version.

    Raises:
        VersionChanged: it names the version of the part.
    """
    if version is not None and version != part.version:
        message = f"{part.model!r} changed from version {version} to {part.version} during the call; repeat it"
        error = VersionChanged(message, model=part.model, version=part.version)
        error.versions = (version, part.version)
        raise error


class Tally:
    """Surrounds the loop over the parts of a call.

    Args:
        total: rows of the call; None where that is not known.
        progress: whether to show the count on stderr.
    """

    def __init__(self, total: int | None, *, progress: bool) -> None:
        self._total = total
        self._progress = Progress(total) if progress else None
        self._rows = 0
        self._version: str | None = None

    def add(self, part: Answer) -> None:
        """Count the rows of a part.

        Raises:
            VersionChanged: another version answered than before.
        """
        check_version(part, self._version)
        self._version = part.version
        self._rows += len(part)
        if self._progress:
            self._progress.update(self._rows)

    def __enter__(self) -> Tally:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, EncserveError):
            error.rows_done = self._rows
            error.rows_total = self._total
        if self._progress:
            self._progress.close(self._rows)
