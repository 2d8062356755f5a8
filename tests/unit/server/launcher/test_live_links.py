"""Serving the steps' code as it is being edited, without a server."""

import threading
import time
from queue import SimpleQueue

import pytest
from tritonclient.grpc import model_config_pb2 as pb

from encserve_repository.config_text import to_text
from encserve_server.config import ServeConfig
from encserve_server.errors import ConfigError
from encserve_server.launcher.live_code import LiveCode, link_repository


@pytest.fixture
def source(tmp_path):
    """A source tree of the steps."""
    folder = tmp_path / "source"
    for name in ("tokenize/step.py", "encode/step.py", "encode/lane.py", "request/call.py", "tokenize_model.py"):
        write(folder / name, "edited")
    write(folder / "encode_model.py", "edited model")
    return folder


@pytest.fixture
def repository(tmp_path):
    """A pipeline of one step with code and an ensemble, and a step of a C++ backend."""
    folder = tmp_path / "repository"
    for model in ("minilm_encode", "cpp_encode"):
        write(folder / model / "config.pbtxt", model)
    write(folder / "minilm" / "config.pbtxt", ensemble("minilm_encode", "cpp_encode"))
    write(folder / "minilm" / "1" / "manifest.json", "{}")
    write(folder / "cpp_encode" / "1" / "model.onnx", "graph")
    for name in ("model.py", "encode/step.py", "settings.json", "model.onnx"):
        write(folder / "minilm_encode" / "1" / name, "certified")
    return folder


def ensemble(*steps):
    config = pb.ModelConfig(name="minilm", ensemble_scheduling=pb.ModelEnsembling())
    for step in steps:
        config.ensemble_scheduling.step.add(model_name=step, model_version=1)
    return to_text(config)


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def serving(repository, source, tmp_path, **taking):
    taking = {"load": lambda model: None, "report": lambda line: None, "stopping": threading.Event(), **taking}
    config = ServeConfig(repository=repository, live_code=source)
    return LiveCode(config=config, folder=tmp_path, pipelines=["minilm"], **taking).served()


def test_the_code_is_the_source_and_all_else_the_repository(repository, source, tmp_path):
    with serving(repository, source, tmp_path) as config:
        version = config.repository / "minilm_encode" / "1"
        assert (version / "model.py").read_text() == "edited model"
        assert (version / "encode" / "lane.py").read_text() == "edited"  # a module that the version has no copy of
        assert (version / "request" / "call.py").read_text() == "edited"
        assert (version / "settings.json").read_text() == "certified"
        assert (version / "model.onnx").read_text() == "certified"
        assert (config.repository / "minilm" / "1" / "manifest.json").read_text() == "{}"
        assert (config.repository / "cpp_encode" / "1" / "model.onnx").read_text() == "graph"


def test_without_a_source_tree_the_repository_is_served(repository, tmp_path):
    with serving(repository, None, tmp_path) as config:
        assert config.repository == repository


def test_a_folder_without_the_code_of_the_steps_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"--live-code .*elsewhere is no source tree of the steps"):
        ServeConfig(live_code=tmp_path / "elsewhere")


def test_an_edit_loads_the_steps_again_and_a_mistake_is_told(repository, source, tmp_path):
    loaded, lines = SimpleQueue(), SimpleQueue()
    mistakes = [ValueError("line 3 is no Python")]

    def load(model):
        loaded.put(model)
        if mistakes:
            raise mistakes.pop()

    with serving(repository, source, tmp_path, load=load, report=lines.put):
        assert "not what was certified" in lines.get(timeout=60)
        write(source / "encode" / "lane.py", "edited again, wrongly")
        assert loaded.get(timeout=60) == "minilm_encode"
        assert "line 3 is no Python" in lines.get(timeout=60)
        write(source / "encode" / "new.py", "edited once more")
        assert loaded.get(timeout=60) == "minilm_encode"
        assert lines.get(timeout=60) == "the edited code of minilm_encode is served"


def test_a_step_that_does_not_load_keeps_no_other_from_it(repository, source, tmp_path):
    for name in ("model.py", "tokenize/step.py"):
        write(repository / "minilm_tokenize" / "1" / name, "certified")
    write(repository / "minilm_tokenize" / "config.pbtxt", "minilm_tokenize")
    write(repository / "minilm" / "config.pbtxt", ensemble("minilm_encode", "minilm_tokenize"))
    lines = SimpleQueue()

    def load(model):
        if model == "minilm_encode":
            raise ValueError("line 3 is no Python")

    with serving(repository, source, tmp_path, load=load, report=lines.put):
        assert lines.get(timeout=60).startswith("the code of minilm_encode, minilm_tokenize is that of")
        write(source / "encode" / "new.py", "edited")
        assert lines.get(timeout=60) == "the edited code of minilm_encode does not load: line 3 is no Python"
        assert lines.get(timeout=60) == "the edited code of minilm_tokenize is served"


def test_a_version_that_is_exported_meanwhile_can_be_loaded(repository, source, tmp_path):
    with serving(repository, source, tmp_path) as config:
        for name in ("model.py", "encode/step.py", "settings.json"):
            write(repository / "minilm_encode" / "2" / name, "of version 2")
        write(repository / "minilm_encode_tensorrt" / "2" / "model.plan", "a plan")
        write(repository / "minilm_encode_tensorrt" / "config.pbtxt", "another model")
        wait_for(config.repository / "minilm_encode" / "2" / "model.py", "edited model")
        wait_for(config.repository / "minilm_encode" / "2" / "settings.json", "of version 2")
        wait_for(config.repository / "minilm_encode_tensorrt" / "2" / "model.plan", "a plan")
        write(source / "new_room" / "shape.py", "edited")
        wait_for(config.repository / "minilm_encode" / "1" / "new_room" / "shape.py", "edited")


@pytest.mark.parametrize("model", ["minilm_encode", "new_encode"])
def test_what_is_being_copied_is_linked_when_its_code_is_there_and_nothing_is_written_to_it(
    model, repository, source, tmp_path
):
    """Publications appear by renames; who copies a version by hand does it file by file."""
    links = tmp_path / "links"
    link_repository(repository, source, links)
    write(repository / model / "config.pbtxt", "by hand")
    write(repository / model / "2" / "settings.json", "of version 2")
    link_repository(repository, source, links)
    for name in ("model.py", "encode/step.py"):
        write(repository / model / "2" / name, "of version 2")
    before = sorted((repository / model).rglob("*"))
    assert model in link_repository(repository, source, links)
    assert (links / model / "2" / "model.py").read_text() == "edited model"
    assert (links / model / "2" / "settings.json").read_text() == "of version 2"
    assert sorted((repository / model).rglob("*")) == before


def test_what_keeps_it_from_looking_is_told_once(repository, source, tmp_path):
    lines = SimpleQueue()
    with serving(repository, source, tmp_path, report=lines.put) as config:
        lines.get(timeout=60)
        (config.repository / "minilm_encode").rename(config.repository / "away")
        (config.repository / "minilm_encode").touch()
        assert lines.get(timeout=60).startswith("error in live-code: FileExistsError")
        (config.repository / "minilm_encode").unlink()
        (config.repository / "away").rename(config.repository / "minilm_encode")
        write(source / "encode" / "new.py", "edited")
        assert lines.get(timeout=60) == "the edited code of minilm_encode is served"


def wait_for(file, text):
    for _ in range(600):
        if file.is_file() and file.read_text() == text:
            return
        time.sleep(0.1)
    pytest.fail(f"{file} has not come")


def test_only_what_is_served_is_loaded_again(repository, source, tmp_path):
    for name in ("model.py", "encode/step.py"):
        write(repository / "other_encode" / "1" / name, "certified")
    write(repository / "other_encode" / "config.pbtxt", "other")
    loaded, lines = [], SimpleQueue()
    with serving(repository, source, tmp_path, load=loaded.append, report=lines.put):
        assert lines.get(timeout=60).startswith("the code of minilm_encode is that of")
        write(source / "encode" / "new.py", "edited")
        lines.get(timeout=60)
    assert loaded == ["minilm_encode"]


def test_nothing_is_loaded_once_the_server_stops(repository, source, tmp_path):
    """It would take time from the requests that are in flight."""
    loaded, stopping = [], threading.Event()
    with serving(repository, source, tmp_path, load=loaded.append, stopping=stopping):
        (thread,) = (each for each in threading.enumerate() if each.name == "live-code")
        stopping.set()
        write(source / "encode" / "new.py", "edited")
        thread.join(60)
        assert not thread.is_alive()
    assert loaded == []
