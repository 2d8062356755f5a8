"""The rounds of a watch, with a server that answers as the test wants."""

from types import SimpleNamespace

import pytest

from encserve import InvalidInput
from encserve.testing import fake_pipeline
from encserve_server.liveness import watch
from encserve_server.liveness.watch import Watch


@pytest.fixture
def server(monkeypatch):
    """Lives, and was started with a pipeline whose masks are written [MASK]."""
    monkeypatch.setattr(watch, "metrics_of", lambda url: ())
    process = SimpleNamespace(is_alive=True, pid=0, stub_pids=tuple, wait=lambda timeout_s: None)
    pipelines = (fake_pipeline(name="words", task="fill-mask", mask_token="[MASK]"),)
    return SimpleNamespace(process=process, metrics_url="", pipelines=pipelines)


class Promoted:
    """Serves another version by now, whose masks are written <mask>."""

    def models(self):
        return [fake_pipeline(name="words", version="2", task="fill-mask", mask_token="<mask>")]

    def fill_mask(self, texts, *, model, version):
        if not all("<mask>" in text for text in texts):
            raise InvalidInput("text 0 has no <mask>; at least one is expected")


def test_a_version_that_was_promoted_meanwhile_is_asked_in_its_own_way(server):
    lines = []
    watching = Watch(server, report=lines.append)
    assert [watching._guarded_round(Promoted()) for _ in range(3)] == ["", "", ""]
    assert watching.judgement.states == {"words": "answers"}
    assert lines == []


class Unreadable:
    """What a watch meets that has no descriptors for its question."""

    def fill_mask(self, texts, *, model, version):
        raise OSError(24, "Too many open files")


def test_while_nobody_can_look_after_the_server_the_states_are_unknown(server):
    lines = []
    watching = Watch(server, report=lines.append)
    for _ in range(2):
        watching._guarded_round(Promoted())
    assert watching.states == {"words": "answers"}
    assert watching._guarded_round(Unreadable()) == ""
    assert watching.states == {"words": "unknown"}
    assert "Too many open files" in lines[0]
    watching._guarded_round(Promoted())
    assert watching.states == {"words": "answers"}
