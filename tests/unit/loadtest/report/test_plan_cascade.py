"""What a plan says of a cascade: the share that went on, what it took, and whether its texts are of that kind."""

from dataclasses import replace

import numpy as np
import pytest
from unit.loadtest.windows import step, window

from encserve import AsyncClient, Cascade
from encserve.testing import AsyncFakeTransport, fake_pipeline
from encserve_loadtest.config import PlanConfig
from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.findings import Findings
from encserve_loadtest.measurement import served
from encserve_loadtest.measurement.bottleneck import total_compute_s
from encserve_loadtest.planner import refuse_to_tune
from encserve_loadtest.report.plain import to_json
from encserve_loadtest.report.summary import cautions, render_text
from encserve_loadtest.traffic.tasks import TASKS
from encserve_loadtest.traffic.workload import Workload

STATED = Cascade(
    small="mini",
    small_version="1",
    large="maxi",
    large_version="1",
    threshold=0.9,
    agreement=0.99,
    confidence=0.95,
    escalated=0.06,
)
BOTH = fake_pipeline(name="both", task="text-classification", labels=("a", "b"), dimensions=2, cascade=STATED)
CONFIG = PlanConfig(model="both", target_p99_s=0.1)


def found(**decisions):
    """A plan that sent texts about which these decided. The large pipeline computed a quarter of the time."""
    workload = Workload(
        pipeline=BOTH, task=TASKS["text-classification"], corpus="c", requests=[["a text"]], lengths=np.array([3])
    )
    workload.decisions.update(decisions)
    steps = {"cascade": step(), "small encode": step(compute_s=0.03), "large encode": step(compute_s=0.01)}
    return Findings(config=CONFIG, workload=workload, windows=[window(steps=steps)])


def test_the_share_that_went_on_is_told_beside_the_one_that_was_fitted():
    plan = found(small=930, large=60, review=10)
    told = "goes on to maxi  7.0 % of the texts  and of those that it was fitted to 6.0 %; "
    told += "that was 25 % of what both computed"
    assert told in render_text(plan)
    assert cautions(plan) == []
    assert to_json(plan)["decisions"] == {"small": 930, "large": 60, "review": 10}
    assert to_json(plan)["large_share"] == pytest.approx(0.25)


@pytest.mark.parametrize("decisions", [{"small": 500, "large": 500}, {"small": 1_000}])
def test_texts_of_another_kind_are_a_caution(decisions):
    (said,) = cautions(found(**decisions))
    assert said.startswith("other texts than it was fitted to: ")
    assert said.endswith("send them with --corpus FILE.jsonl --keep-texts")


def test_of_a_step_that_both_share_nobody_knows_for_which_it_computed():
    plan = found(small=930, large=70)
    plan.windows = [window(steps={"shared encode": step(compute_s=0.03), "large head": step(compute_s=0.01)})]
    assert "computed" not in render_text(plan).partition("goes on to maxi")[2].partition("\n")[0]
    assert plan.large_share == 0


def test_who_sends_texts_of_their_own_is_not_told_to_send_them():
    plan = replace(found(small=500, large=500), config=replace(CONFIG, corpus="texts.jsonl", keep_texts=True))
    (said,) = cautions(plan)
    assert said.endswith("; if these are what callers send, fit it to them again")


def test_of_what_is_no_cascade_nothing_is_said():
    plan = Findings(config=CONFIG)
    assert "goes on" not in render_text(plan)
    assert "decisions" not in to_json(plan)


async def test_decisions_are_counted_as_they_come():
    def answer(request):
        decided = np.array([[b"small", b"large", b"review"]], object)
        return {
            "label": np.array([[[b"a", b"b"]] * 3], object),
            "score": np.tile(np.array([0.7, 0.3], np.float32), (1, 3, 1)),
            "decision": decided,
            "token_count": np.full((1, 3), 4, np.int32),
            "dropped_count": np.zeros((1, 3), np.int32),
            "window_count": np.ones((1, 3), np.int32),
        }

    workload = Workload(
        pipeline=BOTH,
        task=TASKS["text-classification"],
        corpus="c",
        requests=[["one", "two", "three"]],
        lengths=np.array([4, 4, 4]),
    )
    async with AsyncClient(transport=AsyncFakeTransport(answer, pipelines=[BOTH]), coalesce=False) as client:
        send = workload.sender(client, timeout_s=5)
        assert await send(0) == 12
        assert await send(1) == 12
    assert workload.decisions == {"small": 2, "large": 2, "review": 2}
    assert workload.escalated_share == pytest.approx(2 / 3)


def test_the_steps_are_those_of_both_pipelines_too(monkeypatch):
    """What they compute, remember and let wait is not in the numbers of the cascade's own step."""

    class Server(served._Configurations):
        def __init__(self, *arguments, **options):
            pass

        def close(self):
            pass

        def config(self, model):
            config = served.model_config_pb2.ModelConfig(name=model)
            steps = {
                "both": ["both_cascade"],
                "mini": ["mini_tokenize", "mini_encode", "body_encode"],
                "maxi": ["body_encode", "maxi_encode_tensorrt"],
            }
            for step_model in steps.get(model, ()):
                config.ensemble_scheduling.step.add(model_name=step_model)
            if model == "both":
                config.parameters["cascade"].string_value = STATED.to_text()
            return config

    monkeypatch.setattr(served, "_Configurations", Server)
    steps = served.served_steps("localhost:1", "both", served.Access())
    assert [(each.name, each.model) for each in steps] == [
        ("cascade", "both_cascade"),
        ("small tokenize", "mini_tokenize"),
        ("small encode", "mini_encode"),
        ("shared encode", "body_encode"),
        ("large encode", "maxi_encode_tensorrt"),
    ]


def test_a_step_that_few_requests_reach_counts_by_that_share():
    few = step(compute_s=0.1)
    few = type(few)(**{**vars(few), "requests": 10})
    assert total_compute_s({"cascade": step(compute_s=0.02), "large encode": few}) == pytest.approx(0.03)


def test_there_is_nothing_to_tune_of_a_cascade():
    with pytest.raises(InvalidPlan, match=r"'both' is a cascade, .* tune 'mini' and 'maxi'"):
        refuse_to_tune(PlanConfig(model="both", target_p99_s=0.1, tune=True), BOTH)
    refuse_to_tune(CONFIG, BOTH)
