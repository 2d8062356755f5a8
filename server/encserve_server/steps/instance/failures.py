"""Faults of a step itself, counted and logged without a word of any text."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from pathlib import Path

import triton_python_backend_utils as pb_utils

from .metrics import Metrics

_MOST_OF_AN_ID = 80
"""The most characters of a request's id that are logged: it is free text of the caller."""
_FRAMES = 4


class Failures:
    """Counts and logs faults, from any thread, and raises nothing.

    Args:
        model: The name of the step.
        metrics: The metrics of its instance.
        sees_texts: Whether an error's message may quote a text, and is therefore not logged.
    """

    def __init__(self, model: str, metrics: Metrics, *, sees_texts: bool) -> None:
        self.model = model
        self._sees_texts = sees_texts
        self._errors = metrics.counter(
            "encserve_internal_errors", "Faults of a step of its own, by where in it they showed"
        )

        self.expect("execute", "answer", "metrics")

    def expect(self, *places: str) -> None:
        """Show the series of these places from the beginning: an alert does not see the fault with which a series
        begins."""
        for place in places:
            self._errors.expect(where=place)

    def in_words(self, error: BaseException) -> str:
        """Return what the caller is told of a fault: not the error's message, which may quote a text."""
        return f"{self.model} failed ({type(error).__name__}); the server's log says where"

    def report(self, where: str, error: BaseException, request_id: str = "") -> None:
        """Count a fault, and log its kind and where in the code it was raised."""
        with suppress(BaseException):  # a lack of memory, that of being reported among it
            self._errors.add(where=where)
            of_request = f" of request {request_id[:_MOST_OF_AN_ID]!r}" if request_id else ""
            message = "" if self._sees_texts else f": {error}"
            line = f"{self.model}: internal error in {where}{of_request}: {description(error)}{message}"
            try:
                pb_utils.Logger.log_error(line)
            except Exception:  # a message to Triton, which takes shared memory
                print(line, file=sys.stderr, flush=True)

    def warn(self, sentence: str) -> None:
        """Log a sentence for the operator."""
        with suppress(BaseException):
            pb_utils.Logger.log_warn(f"{self.model}: {sentence}")


def description(error: BaseException) -> str:
    """Return the kind of an error and where it was raised, without its message, which may quote a text."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = " < ".join(f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in reversed(frames))
    said = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    return f"{type(error).__name__}{said}{f' at {places}' if places else ''}"
