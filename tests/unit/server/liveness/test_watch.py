"""The rounds of a watch, with a server that answers as the test wants."""

from types import SimpleNamespace

import pytest
from tritonclient.grpc import model_config_pb2 as pb

from encserve import DeadlineExceeded, InvalidInput
from encserve.testing import fake_pipeline
from encserve_repository.config_text import to_text
from encserve_server.liveness import watch
from encserve_server.liveness.judgement import SILENT_S, Judgement
from encserve_server.liveness.watch import Watch


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Lives, and was started with a pipeline whose masks are written [MASK]."""
    monkeypatch.setattr(watch, "metrics_of", lambda url: ())
    process = SimpleNamespace(is_alive=True, pid=0, stub_pids=tuple, wait=lambda timeout_s: None)
    pipelines = (fake_pipeline(name="words", task="fill-mask", mask_token="[MASK]"),)
    config = SimpleNamespace(repository=tmp_path)
    return SimpleNamespace(process=process, metrics_url="", pipelines=pipelines, config=config)


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


STEPS = [["words_tokenize", "base_encode", "words_head"], ["words_cascade"], ["words_generate"]]


@pytest.fixture(params=STEPS, ids=lambda steps: steps[0])
def watched(server, request, monkeypatch):
    """A watch of a pipeline of some steps; its clock, and the metrics of the server, which a test sets."""
    config = pb.ModelConfig(name="words")
    for step in request.param:
        config.ensemble_scheduling.step.add(model_name=step, model_version=1)
    (server.config.repository / "words").mkdir()
    (server.config.repository / "words" / "config.pbtxt").write_text(to_text(config))
    at = SimpleNamespace(now_s=0.0, metrics={}, door=request.param[0], last=request.param[-1])
    monkeypatch.setattr(
        watch, "metrics_of", lambda url: [f'{name}{{model="{of}"}} {value}' for (name, of), value in at.metrics.items()]
    )
    at.watch = Watch(server, report=pytest.fail)
    at.watch.judgement = Judgement(["words"], clock=lambda: at.now_s)
    return at


class Silent:
    """Answers nobody in time, as where requests that came before take long."""

    def fill_mask(self, texts, *, model, version):
        raise DeadlineExceeded("no answer in time")


class Answers:
    def fill_mask(self, texts, *, model, version):
        return None


def test_answers_to_others_are_signs_of_life_of_any_pipeline(watched):
    for number in range(1, 4):
        watched.now_s += SILENT_S + 1
        watched.metrics["nv_inference_request_success", "words"] = number
        assert watched.watch._guarded_round(Silent()) == ""
    watched.now_s += SILENT_S + 1
    assert "words has answered nobody" in watched.watch._guarded_round(Silent())


def test_requests_that_a_step_took_in_are_none(watched):
    """Triton counts these as soon as `execute` returns, where a step answers later."""
    watched.now_s += SILENT_S + 1
    watched.metrics["nv_inference_request_success", watched.last] = 9
    assert "words has answered nobody" in watched.watch._guarded_round(Silent())


def test_refusals_are_those_of_the_step_that_lets_requests_in(watched):
    for number in (1, 2):
        watched.metrics["encserve_refused_requests", watched.door] = number
        assert watched.watch._guarded_round(Answers()) == ""
    assert watched.watch.states == {"words": "overloaded"}
