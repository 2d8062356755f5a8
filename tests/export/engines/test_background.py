"""A version for ONNX Runtime at once, and the plan after it; TensorRT is a stand-in, or not there at all."""

import argparse
import fcntl
import io
import json
import pickle
import sys
from dataclasses import replace

import pytest
import torch

from encserve import EncserveError
from encserve_export.commands import background, publishing
from encserve_export.commands import export_command as command
from encserve_export.commands.background import export_ahead, main, start_build
from encserve_export.config import Device, Engine, Precision
from encserve_export.engines.ways import ways_for
from encserve_export.errors import InvalidConfig, PublishError, UnsupportedHost
from encserve_export.export import export
from encserve_export.publication.publish import staged_version
from encserve_repository.builds import BuildState, build_of
from encserve_repository.versions import published_versions
from encserve_repository.work_folder import find_work_folder, open_work_folder
from encserve_server.launcher.repository import read_pipelines


def test_onnxruntime_serves_until_the_plan_follows(export_config, target):
    config = replace(export_config, engine=Engine.TENSORRT)
    export_ahead(config, publishing.publish)
    (first,) = read_pipelines(config.repository)
    assert (first.engine, first.version) == ("onnxruntime", "1")
    find_work_folder(config.repository).build_log("tiny").write_text("a log\n")
    assert main(io.BytesIO(pickle.dumps(config))) == 0
    (second,) = read_pipelines(config.repository)
    assert (second.engine, second.version) == ("tensorrt", "2")
    assert (config.repository / "tiny/2/build.log").read_text() == "a log\n"
    assert build_of(config.repository, "tiny").state is BuildState.NONE
    # What a client may ask for stays the same.
    manifests = [json.loads((config.repository / f"tiny/{version}/manifest.json").read_text()) for version in (1, 2)]
    assert manifests[0]["limits"] == manifests[1]["limits"]


def test_what_serves_until_an_int8_plan_is_there_is_fp16_on_the_gpu(export_config, target):
    asked = []
    config = replace(export_config, engine=Engine.TENSORRT, precision=Precision.INT8)
    export_ahead(config, lambda config: asked.append(config) or [])
    (meanwhile,) = asked
    assert (meanwhile.engine, meanwhile.device, meanwhile.precision) == (
        Engine.ONNXRUNTIME,
        Device.GPU,
        Precision.FP16,
    )


def test_what_serves_until_the_fastest_plan_is_there_is_chosen_likewise(export_config, target):
    asked = []
    config = replace(export_config, engine=Engine.TENSORRT, precision=None)
    export_ahead(config, lambda config: asked.append(config) or [])
    (meanwhile,) = asked
    (way,), (planned,) = (ways_for(each, frozenset(), lambda line: None) for each in (meanwhile, config))
    assert way.precision is planned.precision is Precision.FP32


def test_a_build_that_fails_leaves_the_first_version_and_says_why(export_config, target):
    """A real process, which looks for a real GPU."""
    if torch.cuda.is_available():
        pytest.skip("this host could build the plan")
    config = replace(export_config, engine=Engine.TENSORRT)
    export_ahead(config, publishing.publish)
    process, log = start_build(config)
    running = build_of(config.repository, "tiny")
    assert (running.state, running.log, running.last_line) == (BuildState.RUNNING, log, "")
    with pytest.raises(PublishError, match=f"a plan of tiny is being built; {log} has what it says"):
        start_build(config)
    assert process.wait(timeout=300) == 1
    failed = build_of(config.repository, "tiny")
    assert failed.state is BuildState.FAILED
    assert "builds a plan on the GPU that will run it" in failed.last_line
    assert published_versions(config.repository, "tiny") == [1]
    (served,) = read_pipelines(config.repository)
    assert served.engine == "onnxruntime"


def test_who_only_asks_what_became_of_a_build_keeps_none_from_beginning(export_config, monkeypatch):
    """As every server does at its start."""
    log = open_work_folder(export_config.repository).build_log("tiny")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("a build that failed\n")
    monkeypatch.setattr(
        background, "command_of", lambda module: [sys.executable, "-c", "import sys; sys.stdin.buffer.read()"]
    )
    waited = []
    with log.open("rb") as reader, monkeypatch.context() as while_it_waits:
        fcntl.flock(reader, fcntl.LOCK_SH)
        while_it_waits.setattr(background.time, "sleep", lambda seconds: waited.append(seconds) or reader.close())
        process, _ = start_build(export_config)
    assert waited
    assert process.wait(timeout=60) == 0


def test_the_next_export_says_what_failed(tmp_path, capsys):
    log = open_work_folder(tmp_path).build_log("tiny")
    log.parent.mkdir()
    log.write_text("loading ... 1 s\nencserve: error: max_abs_diff is 1, must be\n\n")
    arguments = ["nowhere", "--name", "tiny", "--repository", str(tmp_path)]
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    with pytest.raises(EncserveError):
        command.run(parser.parse_args(arguments))
    assert "was not published: encserve: error: max_abs_diff is 1, must be" in capsys.readouterr().err


def test_a_host_without_a_gpu_publishes_nothing(export_config, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnsupportedHost, match="GPU"):
        export_ahead(replace(export_config, engine=Engine.TENSORRT), publishing.publish)
    assert not export_config.repository.exists()


def test_other_engines_have_nothing_to_build(export_config):
    with pytest.raises(InvalidConfig, match="--build background is for --engine tensorrt; python has nothing to build"):
        export_ahead(export_config, publishing.publish)


def test_a_second_export_meanwhile_is_refused_and_names_the_log(export_config):
    log = open_work_folder(export_config.repository).build_log("tiny")
    with staged_version(export_config):
        log.write_text("building\n")
        with pytest.raises(PublishError, match=rf"another export or promotion of 'tiny' .* is running; {log} has what"):
            export(export_config)
