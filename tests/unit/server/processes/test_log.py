"""The log of a server is read to its end, whatever becomes of its readers: Triton stops at a pipe that is full."""

import io
import threading

import pytest

from encserve_server.processes.log import Log


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), ValueError("I/O operation on closed file"), MemoryError()], ids=repr
)
def test_lines_that_cannot_be_shown_are_read_all_the_same(error):
    def show(line):
        raise error

    log = Log(io.StringIO("one\nhidden\ntwo\n"), show=show, hidden=("hidden",))
    log.close()
    assert log.reason() == "one\ntwo"


class FailingOutput(io.StringIO):
    """Raises `failures` first, one a line."""

    def __init__(self, text, failures):
        super().__init__(text)
        self.failures = failures

    def readline(self, size=-1, /):
        if self.failures:
            raise self.failures.pop(0)
        return super().readline(size)


def test_reading_goes_on_after_it_has_failed():
    shown = []
    log = Log(FailingOutput("one\ntwo\n", [MemoryError(), OSError("a descriptor")]), show=shown.append, hidden=())
    log.close()
    assert log.reason() == "one\ntwo"
    assert shown == ["error in triton-log: MemoryError()", "error in triton-log: OSError('a descriptor')", "one", "two"]


def test_nothing_is_read_any_more_once_the_output_is_closed():
    """Triton then has an error where it writes, and waits for nobody."""
    output = io.StringIO("one\n")
    output.close()
    others = set(threading.enumerate())  # of a server that tests of this process share
    log = Log(output, show=lambda line: None, hidden=())
    log.close()
    assert not set(threading.enumerate()) - others
