"""Other settings for a pipeline, in a copy that the launcher accepts."""

import hashlib
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import text_format
from toy_manifest import toy_manifest
from tritonclient.grpc import model_config_pb2

from encserve.testing import fake_pipeline
from encserve_loadtest.altered_repository import Settings, altered_repository, read_settings
from encserve_loadtest.config import PlanConfig
from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.findings import Findings
from encserve_loadtest.quantities import percent
from encserve_loadtest.served import ServedStep, role_of
from encserve_loadtest.summary import render_text
from encserve_loadtest.trials import Trial, Tuning
from encserve_loadtest.tuning import alternatives
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
    assert not any("token_budget" in change for change in alternatives(replace(SETTINGS, token_budget=None)))


def test_the_changes_are_those_of_the_best_trial():
    baseline = Trial(settings=SETTINGS, throughput_per_s=100)
    best = Trial(settings=replace(SETTINGS, encode_instances=2, token_budget=1024), throughput_per_s=130)
    tuning = Tuning(users=8, baseline=baseline, best=best)
    assert tuning.changes == {"encode_instances": (1, 2), "token_budget": (512, 1024)}


def test_settings_with_which_nothing_is_answered_are_compared_too():
    none, some = (Trial(settings=SETTINGS, throughput_per_s=rate) for rate in (0, 130))
    assert (some.gain_over(none), none.gain_over(some), none.gain_over(none)) == (math.inf, -1, 0)
    assert percent(some.gain_over(none)) == "∞ %"
    assert some.gain_over(replace(none, throughput_per_s=100)) == pytest.approx(0.3)


def test_a_change_says_where_it_is_made():
    steps = [("tokenize", "m-tags_tokenize"), ("encode", "m_encode"), ("head", "m-tags_head")]
    found = Findings(config=PlanConfig(model="m-tags", target_p99_s=0.1))
    found.steps = tuple(
        ServedStep(name=name, model=model, instances=1, max_batch_size=64, queue_delay_us=0) for name, model in steps
    )
    best = Trial(settings=replace(SETTINGS, encode_instances=2, token_budget=1024), throughput_per_s=130)
    baseline = Trial(settings=SETTINGS, throughput_per_s=100)
    found.tuning = Tuning(users=8, baseline=baseline, best=best, untried=[{"max_batch_size": 16}])
    text = render_text(found)
    assert "instances of encode: 1 to 2" in text
    assert "instance_group in m_encode/config.pbtxt" in text
    assert "export again with --token-budget 1024" in text
    found.tuning.best = baseline
    assert "there was no time within --time-limit" in render_text(found)
    found.tuning.trials = [baseline]
    assert "of 1 other settings that were tried none was 5 % better; for 1 there was no time" in render_text(found)
