"""Draining, with a server that says what the test wants."""

from types import SimpleNamespace

import pytest

from encserve import Unavailable
from encserve_server.launcher.drain import LEAST_LEFT_S, drain


class Administration:
    """Unloads all but `stuck`; those that it unloads have requests for as many looks as `looks` says."""

    def __init__(self, *, stuck=(), looks=0):
        self.stuck, self.looks, self.unloaded = stuck, looks, []

    def unload(self, model, *, timeout_s):
        if model in self.stuck:
            raise Unavailable("no answer")
        self.unloaded.append(model)

    def unloading(self, *, timeout_s):
        self.looks -= 1
        return set(self.unloaded) if self.looks >= 0 else set()


@pytest.fixture
def process():
    return SimpleNamespace(is_alive=True)


def test_a_pipeline_that_is_not_unloaded_is_named_and_the_others_are_waited_for(process, tmp_path):
    administration = Administration(stuck=("first",), looks=3)
    drained = drain(process, tmp_path, administration, ["first", "second", "third"], 60)
    assert administration.unloaded == ["second", "third"]
    assert administration.looks == -1, "waited until they had no requests"
    (failure,) = drained.failures
    assert failure.startswith("first was not unloaded")
    assert (tmp_path / "closing").exists()


def test_a_server_that_hangs_has_the_time_and_no_more(process, tmp_path):
    administration = Administration(looks=10**9)
    assert drain(process, tmp_path, administration, ["first"], 0.2).left_s == LEAST_LEFT_S


def test_a_server_that_has_ended_is_not_asked(tmp_path):
    administration = Administration()
    drained = drain(SimpleNamespace(is_alive=False), tmp_path, administration, ["first"], 60)
    assert (administration.unloaded, drained.failures) == ([], ())
    assert drained.left_s > 50
