"""The log of a server is read to its end, whatever becomes of those who look at it."""

import io

import pytest

from encserve_server.launcher.log import Log


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), ValueError("I/O operation on closed file"), MemoryError()], ids=repr
)
def test_lines_that_cannot_be_shown_are_read_all_the_same(error):
    def show(line):
        raise error

    log = Log(io.StringIO("one\nhidden\ntwo\n"), show=show, hidden=("hidden",))
    log.close()
    assert log.reason() == "one\ntwo"
