"""A server that is busy has not drifted: it is asked again for a while, and then nothing is said of its answers."""

import argparse

import pytest
from served_vectors import served, verification_of

from encserve import DeadlineExceeded, InferenceFailed, Overloaded, RateLimited, Unavailable
from encserve_export.commands import verify_command

BUSY = [Unavailable("restarts"), Overloaded("no room"), DeadlineExceeded("too late")]


class Busy:
    """Answers every so many attempts of a request only."""

    def __init__(self, server, error, *, failures):
        self.server, self.error, self.failures, self.attempts = server, error, failures, 0

    def __call__(self, request):
        self.attempts += 1
        if self.attempts % (self.failures + 1):
            raise self.error
        return self.server(request)


@pytest.mark.parametrize("error", BUSY, ids=lambda error: type(error).__name__)
def test_one_that_answers_in_the_end_has_not_drifted(error, folder, server, pauses):
    busy = Busy(server, error, failures=5)
    assert verification_of(folder, busy).complaints == []
    assert busy.attempts == 6 * len(server.requests)
    assert pauses[:5] == [0.5, 1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("error", BUSY, ids=lambda error: type(error).__name__)
def test_there_is_an_end_to_it(error, folder, server, pauses):
    busy = Busy(server, error, failures=10**9)
    with pytest.raises(type(error)):
        verification_of(folder, busy)
    assert (busy.attempts, len(pauses)) == (6, 5)


def test_a_gateway_is_asked_when_it_wants_to_be(folder, server, pauses):
    error = RateLimited("too many")
    error.retry_after_s = 3.0
    assert verification_of(folder, Busy(server, error, failures=4)).complaints == []
    assert pauses[:4] == [3.0, 3.0, 3.0, 4.0]


def test_an_answer_that_is_an_error_is_not_asked_for_again(folder, server, pauses):
    assert verification_of(folder, Busy(server, InferenceFailed("NaN"), failures=10**9)).drifted
    assert pauses == []


@pytest.mark.parametrize("what", ["busy", "no certificate", "no texts"])
def test_the_command_tells_drift_from_what_it_could_not_ask(what, folder, server, monkeypatch, capsys):
    asked = Busy(server, Overloaded("no room"), failures=10**9) if what == "busy" else server
    monkeypatch.setattr(verify_command, "GrpcTransport", lambda url, **access: served(folder, asked))
    parser = argparse.ArgumentParser()
    verify_command.add_arguments(parser)
    repository = folder / "elsewhere" if what == "no certificate" else folder
    given = ["fake", f"--repository={repository}", *([f"--calibration={folder / 'no'}"] if what == "no texts" else [])]
    assert verify_command.run(parser.parse_args(given)) == verify_command.EXIT_NOT_ASKED == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "not verified, since it could not be asked: " in err
