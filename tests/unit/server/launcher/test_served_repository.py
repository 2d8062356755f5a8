import hashlib
from contextlib import nullcontext

import pytest
from google.protobuf import text_format
from toy_manifest import toy_manifest
from tritonclient.grpc.model_config_pb2 import ModelConfig

from encserve import ContractError, PipelineInfo
from encserve_repository.serving import is_served
from encserve_server.config import ServeConfig
from encserve_server.errors import RepositoryError
from encserve_server.launcher import server
from encserve_server.launcher.repository import check_traces, read_pipelines
from encserve_server.launcher.server import TritonServer


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def publish(repository, name="minilm", *, files=None, versions=(3,), **parameters):
    graph = repository / f"{name}_encode" / "3" / "model.onnx"
    graph.parent.mkdir(parents=True)
    graph.write_bytes(b"a graph")
    manifest = repository / name / "3" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(toy_manifest(name, 3, files or {f"{name}_encode/3/model.onnx": sha256(b"a graph")}).to_json())
    info = PipelineInfo(
        name=name,
        version="3",
        task="feature-extraction",
        precision="fp32",
        engine="python",
        dimensions=384,
        max_length=256,
        max_texts_per_request=64,
        max_tokens_per_request=8192,
        max_bytes_per_text=100_000,
        prompt_names=(),
        option_defaults={},
        certificate=sha256(manifest.read_bytes()),
    )
    config = ModelConfig(name=name, platform="ensemble")
    config.version_policy.specific.versions.extend(versions)
    for key, value in {**info.to_parameters(), **parameters}.items():
        config.parameters[key].string_value = value
    write_config(repository, name, text_format.MessageToString(config))
    return info


def write_config(repository, name, text):
    (repository / name).mkdir(exist_ok=True)
    (repository / name / "config.pbtxt").write_text(text)


def test_reads_every_pipeline_and_nothing_else(tmp_path):
    minilm, e5 = publish(tmp_path, "minilm"), publish(tmp_path, "e5")
    (tmp_path / "README.md").write_text("generated")
    write_config(tmp_path, "other", 'name: "other" backend: "python"')
    write_config(tmp_path, ".encserve", "half an export")
    assert read_pipelines(tmp_path) == (e5, minilm)
    assert read_pipelines(tmp_path, ["minilm", "minilm"]) == (minilm,)


@pytest.mark.parametrize(
    ("name", "message"), [("other", "other is no pipeline of encserve"), ("absent", "has no pipeline 'absent'")]
)
def test_a_name_that_is_no_pipeline_is_refused(tmp_path, name, message):
    publish(tmp_path)
    write_config(tmp_path, "other", 'name: "other" backend: "python"')
    with pytest.raises(RepositoryError, match=f"{message}.*encserve export CHECKPOINT --name NAME"):
        read_pipelines(tmp_path, [name])


def test_an_empty_or_absent_repository_says_how_to_fill_it(tmp_path):
    with pytest.raises(RepositoryError, match="has no pipeline: `encserve export CHECKPOINT --name NAME`"):
        read_pipelines(tmp_path)
    with pytest.raises(RepositoryError, match="absent is not a folder: `encserve export"):
        read_pipelines(tmp_path / "absent")


def test_a_changed_file_is_refused_with_both_hashes(tmp_path):
    publish(tmp_path)
    (tmp_path / "minilm_encode/3/model.onnx").write_bytes(b"another graph")
    expected, found = sha256(b"a graph"), sha256(b"another graph")
    with pytest.raises(RepositoryError, match=rf"3/model\.onnx .* expected sha256 {expected}, found {found}"):
        read_pipelines(tmp_path)


def test_a_missing_file_is_refused(tmp_path):
    publish(tmp_path)
    (tmp_path / "minilm_encode/3/model.onnx").unlink()
    with pytest.raises(RepositoryError, match=r"model\.onnx is missing"):
        read_pipelines(tmp_path)


def test_a_changed_manifest_is_refused(tmp_path):
    publish(tmp_path)
    path = tmp_path / "minilm/3/manifest.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(RepositoryError, match=r"manifest\.json is not the certified file"):
        read_pipelines(tmp_path)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "minilm/../../secret"])
def test_a_manifest_cannot_reach_outside_the_repository(tmp_path, path):
    publish(tmp_path, files={path: sha256(b"")})
    with pytest.raises(RepositoryError, match="outside the repository"):
        read_pipelines(tmp_path)


def test_a_malformed_config_is_refused(tmp_path):
    write_config(tmp_path, "minilm", "version_policy [")
    with pytest.raises(RepositoryError, match=r"config\.pbtxt is no Triton model configuration"):
        read_pipelines(tmp_path)


def test_a_pipeline_that_is_named_is_served_beside_broken_ones(tmp_path):
    minilm = publish(tmp_path)
    write_config(tmp_path, "other", "version_policy [")
    assert read_pipelines(tmp_path, ["minilm"]) == (minilm,)


def test_a_pipeline_pins_one_version(tmp_path):
    publish(tmp_path, versions=(2, 3))
    with pytest.raises(RepositoryError, match=r"must pin one version in its version_policy, it pins \[2, 3\]"):
        read_pipelines(tmp_path)


def test_another_contract_is_refused(tmp_path):
    publish(tmp_path, encserve_contract="2")
    with pytest.raises(ContractError, match="version 2 of the contract"):
        read_pipelines(tmp_path)


def test_a_repository_is_marked_as_served_before_it_is_read(tmp_path, monkeypatch):
    """An export that ends between the two would make a version active that nobody verified."""
    seen = []

    def read(repository, names):
        seen.append(is_served(repository))
        raise RepositoryError("no pipeline")

    monkeypatch.setattr(server, "read_pipelines", read)
    with pytest.raises(RepositoryError, match="no pipeline"), TritonServer(ServeConfig(repository=tmp_path)):
        pass
    assert seen == [True]
    assert not is_served(tmp_path)


def test_a_server_says_that_its_repository_is_no_folder(tmp_path):
    with (
        pytest.raises(RepositoryError, match="nowhere is not a folder"),
        TritonServer(ServeConfig(repository=tmp_path / "nowhere")),
    ):
        pass


@pytest.mark.parametrize(
    ("files", "fits"), [(["model.py"], False), (["model.py", "request/traceparent.py"], True), ([], True)]
)
def test_a_server_that_traces_has_no_steps_that_refuse_traces(tmp_path, files, fits):
    """A step of a C++ backend has no code, and takes any parameter."""
    info = publish(tmp_path)
    config = tmp_path / "minilm" / "config.pbtxt"
    steps = 'ensemble_scheduling { step [ { model_name: "minilm_encode" model_version: 3 } ] }'
    config.write_text(f"{config.read_text()}{steps}")
    for name in files:
        file = tmp_path / "minilm_encode" / "3" / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    with nullcontext() if fits else pytest.raises(RepositoryError, match="version 3 of minilm was exported before"):
        check_traces(tmp_path, [info])
