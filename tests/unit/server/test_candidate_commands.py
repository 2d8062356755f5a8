"""`encserve canary` and `encserve shadow`: what their arguments mean, and which contradict each other."""

import argparse
from contextlib import contextmanager

import pytest

from encserve import InvalidInput
from encserve_server import canary, shadow


class Noting:
    def __init__(self):
        self.done = []

    def canary(self, version, share):
        self.done.append(("canary", version, share))

    def shadow(self, version, share):
        self.done.append(("shadow", version, share))

    def end_canary(self):
        self.done.append(("canary", "ended"))

    def end_shadow(self):
        self.done.append(("shadow", "ended"))

    def end_canary_stopped(self):
        self.done.append(("canary", "ended for the next start"))

    def end_shadow_stopped(self):
        self.done.append(("shadow", "ended for the next start"))


@pytest.fixture(params=[canary, shadow], ids=["canary", "shadow"])
def command(request, monkeypatch):
    """Runs a command, and returns what it did."""
    noting = Noting()

    @contextmanager
    def opened(kind, arguments):
        yield noting

    monkeypatch.setattr(request.param, "administered", opened)

    def run(*words):
        parser = argparse.ArgumentParser(exit_on_error=False)
        request.param.add_arguments(parser)
        assert request.param.run(parser.parse_args(words)) == 0
        ((name, *done),) = noting.done
        assert name == request.param.__name__.rpartition(".")[2]
        return tuple(done)

    run.done = noting.done
    return run


@pytest.mark.parametrize(
    ("words", "means"),
    [
        (("minilm", "2", "--share", "5%"), (2, 0.05)),
        (("minilm", "2", "--share", "0.05"), (2, 0.05)),
        (("minilm", "2", "--share", "100%"), (2, 1.0)),
        (("minilm", "2", "--share", "0"), ("ended",)),
        (("minilm", "--share", "0%"), ("ended",)),
        (("minilm", "--end"), ("ended",)),
    ],
)
def test_shares_and_ends(command, words, means):
    assert command(*words) == means


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("minilm",), "which VERSION"),
        (("minilm", "2"), "which VERSION"),
        (("minilm", "--share", "5%"), "which VERSION"),
        (("minilm", "2", "--share", "5%", "--end"), "contradict"),
        (("minilm", "3", "--end"), "whichever version it is"),
    ],
)
def test_what_is_missing_or_contradicts_itself(command, words, says):
    with pytest.raises(InvalidInput, match=says):
        command(*words)
    assert command.done == []


@pytest.mark.parametrize("share", ["5", "-1%", "nan", "101%", "half", "%"])
def test_what_is_no_share(command, share):
    with pytest.raises(argparse.ArgumentError, match=f"{share} is no share: it must be between 0 and 1"):
        command("minilm", "2", f"--share={share}")
