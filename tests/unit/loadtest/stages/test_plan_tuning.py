"""Other settings for a pipeline, in a copy that the launcher accepts."""

import asyncio
import hashlib
import io
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from google.protobuf import text_format
from toy_manifest import toy_manifest
from tritonclient.grpc import model_config_pb2

from encserve.testing import fake_pipeline
from encserve_loadtest.config import PlanConfig
from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.estimate.search import find_capacity
from encserve_loadtest.findings import Findings
from encserve_loadtest.measurement.progress import Progress
from encserve_loadtest.measurement.served import ServedStep, role_of
from encserve_loadtest.report.files import write_report
from encserve_loadtest.report.summary import render_text
from encserve_loadtest.stages.tuning import LEAST_RUN_S, alternatives, describe, run_length_s, tune
from encserve_loadtest.tune.altered_repository import Settings, altered_repository, read_settings
from encserve_loadtest.tune.paired import Comparison, compare, rate_at_percentile
from encserve_loadtest.tune.trials import Trial, Tuning
from encserve_loadtest.virtual.servers import Line, constant_service, exponential_service
from encserve_loadtest.virtual.virtual_bench import VirtualBench
from encserve_server.launcher.repository import read_pipelines

SETTINGS = Settings(tokenize_instances=1, encode_instances=1, max_batch_size=64, queue_delay_us=0, token_budget=512)


def test_a_step_is_known_by_its_model():
    models = ("m_tokenize", "m_encode", "m_encode_tensorrt", "m_tensorrt_head")
    assert [role_of(model) for model in models] == ["tokenize", "encode", "encode", "head"]


@pytest.fixture
def repository(tmp_path) -> Path:
    files = {}
    for step in ("tokenize", "encode", "head"):
        config = model_config_pb2.ModelConfig(name=f"m_{step}", backend="python", max_batch_size=64)
        config.instance_group.add(count=1)
        config.dynamic_batching.SetInParent()
        write_model(tmp_path, config, "settings.json", json.dumps({"token_budget": 512} if step == "encode" else {}))
        settings = tmp_path / f"m_{step}" / "3" / "settings.json"
        files[f"m_{step}/3/settings.json"] = hashlib.sha256(settings.read_bytes()).hexdigest()
    ensemble = model_config_pb2.ModelConfig(name="m", platform="ensemble", max_batch_size=64)
    for step in ("tokenize", "encode", "head"):
        ensemble.ensemble_scheduling.step.add(model_name=f"m_{step}", model_version=3)
    manifest = toy_manifest("m", 3, files).to_json()
    certificate = hashlib.sha256(manifest.encode()).hexdigest()
    for key, value in fake_pipeline(name="m", certificate=certificate).to_parameters().items():
        ensemble.parameters[key].string_value = value
    write_model(tmp_path, ensemble, "manifest.json", manifest)
    return tmp_path


def write_model(repository: Path, config: model_config_pb2.ModelConfig, file: str, content: str) -> None:
    config.version_policy.specific.versions.append(3)
    (repository / config.name / "3").mkdir(parents=True)
    (repository / config.name / "3" / file).write_text(content)
    (repository / config.name / "config.pbtxt").write_text(text_format.MessageToString(config))


def test_the_settings_are_read(repository):
    assert read_settings(repository, "m") == SETTINGS


def test_a_copy_has_other_settings_and_is_still_accepted(repository):
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    wanted = replace(SETTINGS, encode_instances=3, max_batch_size=8, queue_delay_us=500, token_budget=128)
    with altered_repository(repository, "m", wanted) as copy:
        assert read_settings(copy, "m") == wanted
        (pipeline,) = read_pipelines(copy)  # checks every hash
        assert pipeline.certificate != read_pipelines(repository)[0].certificate
    assert not copy.exists()
    assert {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()} == before


def test_after_a_promotion_the_version_that_serves_is_tuned(repository):
    """Its steps then offer the version before, too, which is the first that they pin."""
    for step in ("tokenize", "encode", "head"):
        file = repository / f"m_{step}" / "config.pbtxt"
        config = text_format.Parse(file.read_text(), model_config_pb2.ModelConfig())
        config.version_policy.specific.ClearField("versions")
        config.version_policy.specific.versions.extend([2, 3])
        file.write_text(text_format.MessageToString(config))
        (repository / f"m_{step}" / "2").mkdir()
        (repository / f"m_{step}" / "2" / "settings.json").write_text(json.dumps({"token_budget": 7}))
    assert read_settings(repository, "m") == SETTINGS
    with altered_repository(repository, "m", replace(SETTINGS, token_budget=128)) as copy:
        assert read_settings(copy, "m").token_budget == 128
        assert sorted(path.relative_to(copy).as_posix() for path in copy.glob("*/*/")) == [
            f"{model}/3" for model in ("m", "m_encode", "m_head", "m_tokenize")
        ]
        read_pipelines(copy)


def test_what_a_step_is_warmed_up_with_comes_along(repository):
    (repository / "m_encode/warmup").mkdir()
    (repository / "m_encode/warmup/input_ids").write_bytes(b"ids")
    with altered_repository(repository, "m", SETTINGS) as copy:
        assert (copy / "m_encode/warmup/input_ids").read_bytes() == b"ids"
        assert [path.parent.name for path in copy.glob("*/warmup")] == ["m_encode"]


def test_a_pipeline_on_the_encode_step_of_another(repository):
    """`m` becomes `m-tags`, as the head "tags" of the pipeline `m` would be."""
    for model in ("m_tokenize", "m_head", "m"):
        other = repository / f"m-tags{model[1:]}"
        shutil.move(repository / model, other)
        config = text_format.Parse((other / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
        config.name = other.name
        for step in config.ensemble_scheduling.step:
            if step.model_name != "m_encode":
                step.model_name = f"m-tags{step.model_name[1:]}"
        (other / "config.pbtxt").write_text(text_format.MessageToString(config))
    assert read_settings(repository, "m-tags") == SETTINGS
    with altered_repository(repository, "m-tags", replace(SETTINGS, encode_instances=2, token_budget=64)) as copy:
        assert read_settings(copy, "m-tags").token_budget == 64
        assert sorted(each.name for each in copy.iterdir()) == ["m-tags", "m-tags_head", "m-tags_tokenize", "m_encode"]


def test_a_missing_repository_is_named(tmp_path):
    with pytest.raises(InvalidPlan, match=r"--tune needs the pipeline's repository \(--repository\)"):
        read_settings(tmp_path / "nowhere", "m")


def test_alternatives_change_one_setting_each():
    changes = list(alternatives(SETTINGS))
    assert all(len(change) == 1 for change in changes)
    assert {name for change in changes for name in change} == set(SETTINGS.__dataclass_fields__)
    of_cpp_engines = [name for change in alternatives(replace(SETTINGS, token_budget=None)) for name in change]
    assert not {"token_budget", "encode_instances"} & set(of_cpp_engines)


BETTER = Comparison(log_ratios=(0.10, 0.12, 0.11, 0.09, 0.10, 0.11))
NOISE = Comparison(log_ratios=(0.10, -0.12, 0.11, -0.05, 0.20, 0.01))


def test_a_winner_is_one_that_wins_by_more_than_chance():
    assert BETTER.is_better
    assert BETTER.gain == pytest.approx(0.111, abs=0.001)
    assert BETTER.interval[0] < BETTER.gain < BETTER.interval[1]
    assert NOISE.gain > 0.04
    assert not NOISE.is_better
    assert describe(NOISE).startswith("no better than noise, 4.3 % more")


def paired(first_s: float, second_s: float, *, seed: int) -> Comparison:
    """Two virtual servers in turns, with exponential service of these means, and arrivals of their own."""
    benches = [
        VirtualBench(server=Line(draw=exponential_service(each)), target_p99_s=0.1, seed=seed + own)
        for own, each in ((0, first_s), (1_000, second_s))
    ]
    return asyncio.run(compare(*benches, rate_per_s=54, slope=6.0, run_s=5.0))


def test_servers_that_are_equal_are_not_told_apart_and_a_faster_one_is():
    assert sum(paired(0.01, 0.01, seed=seed).is_better for seed in range(40)) <= 1
    assert sum(paired(0.01, 0.007, seed=seed).is_better for seed in range(40)) >= 36


def test_a_window_without_a_late_request_says_that_the_rate_is_higher():
    bench = VirtualBench(server=Line(draw=exponential_service(0.001)), target_p99_s=0.1)
    window = asyncio.run(bench.at_rate(54, duration_s=5))
    assert 54 < rate_at_percentile(window, 54, 6.0) < 2 * 54
    slow = VirtualBench(server=Line(draw=exponential_service(0.03)), target_p99_s=0.1)
    assert rate_at_percentile(asyncio.run(slow.at_rate(54, duration_s=5)), 54, 6.0) < 27


def test_all_changes_get_their_turn_or_are_left_out():
    assert run_length_s(252, changes_left=6) == LEAST_RUN_S  # the last of them are left out
    assert run_length_s(600, changes_left=6) == pytest.approx(80 / 12)
    assert run_length_s(1e6, changes_left=6) == 10
    assert run_length_s(40, changes_left=1) is None


def test_the_changes_are_those_of_the_best():
    best = replace(SETTINGS, encode_instances=2, token_budget=1024)
    tuning = Tuning(rate_per_s=100, baseline=SETTINGS, best=best)
    assert tuning.changes == {"encode_instances": (1, 2), "token_budget": (512, 1024)}


def test_a_change_says_where_it_is_made():
    steps = [("tokenize", "m-tags_tokenize"), ("encode", "m_encode"), ("head", "m-tags_head")]
    found = Findings(config=PlanConfig(model="m-tags", target_p99_s=0.1))
    found.steps = tuple(
        ServedStep(name=name, model=model, instances=1, max_batch_size=64, queue_delay_us=0) for name, model in steps
    )
    best = replace(SETTINGS, encode_instances=2, token_budget=1024)
    found.tuning = Tuning(rate_per_s=100, baseline=SETTINGS, best=best, untried=[{"max_batch_size": 16}])
    text = render_text(found)
    assert "instances of encode: 1 to 2" in text
    assert "instance_group in m_encode/config.pbtxt" in text
    assert "export again with --token-budget 1024" in text
    found.tuning.best = SETTINGS
    assert "there was no time within --time-limit" in render_text(found)
    found.tuning.trials = [Trial(settings=best, comparison=NOISE)]
    text = render_text(found)
    assert "no setting is better than noise" in text
    assert "of 1 other settings that were tried none is better than noise; for 1 there was no time" in text


def test_the_report_shows_what_was_tried(tmp_path):
    best = replace(SETTINGS, encode_instances=2)
    trials = [
        Trial(settings=best, comparison=BETTER),
        Trial(settings=replace(best, max_batch_size=16), comparison=NOISE),
    ]
    found = Findings(config=PlanConfig(model="m", target_p99_s=0.1))
    found.tuning = Tuning(rate_per_s=100, baseline=SETTINGS, best=best, trials=trials)
    write_report(found, tmp_path / "plan.html")
    page = (tmp_path / "plan.html").read_text()
    assert all(words in page for words in ("as it is", "kept", "no better than noise", "11 %, between"))
    plain = json.loads((tmp_path / "plan.json").read_text())
    assert plain["tuning"]["changes"] == {"encode_instances": [1, 2]}
    assert plain["tuning"]["trials"][0]["comparison"]["log_ratios"] == list(BETTER.log_ratios)


def test_a_better_change_is_kept_and_each_server_is_stopped(monkeypatch):
    """Two instances of encode are faster, and so is half the token budget on top; the rest changes nothing."""
    open_now: list[Settings] = []

    @asynccontextmanager
    async def virtual(findings: Findings, settings: Settings) -> AsyncIterator[VirtualBench]:
        service_s = 0.01 * (0.7 if settings.encode_instances == 2 else 1) * (0.7 if settings.token_budget == 256 else 1)
        open_now.append(settings)
        assert len(open_now) <= 2
        yield VirtualBench(server=Line(draw=constant_service(service_s)), target_p99_s=0.1)
        open_now.remove(settings)

    monkeypatch.setattr("encserve_loadtest.stages.tuning._bench_on", virtual)
    monkeypatch.setattr("encserve_loadtest.stages.tuning.read_settings", lambda repository, model: SETTINGS)
    found = Findings(config=PlanConfig(model="m", target_p99_s=0.1, time_limit_s=1_000))
    first = VirtualBench(server=Line(draw=constant_service(0.01)), target_p99_s=0.1)
    begin = partial(setattr, found, "experiment")
    found.capacity = asyncio.run(find_capacity(first, target_s=0.1, time_s=100, begin=begin))
    asyncio.run(tune(found, Progress(stream=io.StringIO(), clock=lambda: 0.0)))
    assert found.tuning.changes == {"encode_instances": (1, 2), "token_budget": (512, 256)}
    assert len(found.tuning.trials) == 6
    assert found.tuning.capacity.low_per_s > 1.5 * found.capacity.rate_per_s
    assert open_now == []
