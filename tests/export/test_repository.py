"""Publication: all or nothing, whatever ends the export."""

import errno
import os
import signal
from pathlib import Path

import pytest

from encserve_export.config import STEPS, Engine
from encserve_export.errors import PublishError
from encserve_export.repository import publish, published_versions, staged_version
from encserve_export.triton_config import from_text, pipeline_configs

from .manifests import make_manifest

MODELS = [*(f"minilm_{step}" for step in STEPS), "minilm"]


def write_version(repository, **changes):
    """Stage and publish a version with small files in place of a graph."""
    with staged_version(repository, "minilm") as staged:
        for step, folder in staged.step_folders().items():
            (folder / "model.py").write_text(f"{step} of version {staged.version}")
        manifest = make_manifest(version=staged.version, files=staged.digests(), **changes)
        (staged.folder("minilm") / "manifest.json").write_text(manifest.to_json())
        publish(staged, pipeline_configs(manifest, "certificate"))


def read_config(repository, model):
    return from_text((repository / model / "config.pbtxt").read_text())


def check_loadable(repository, expected_version):
    """What the ensemble names is there and is offered by its steps."""
    ensemble = read_config(repository, "minilm")
    assert list(ensemble.version_policy.specific.versions) == [expected_version]
    for step in ensemble.ensemble_scheduling.step:
        assert step.model_version == expected_version
        assert expected_version in read_config(repository, step.model_name).version_policy.specific.versions
        assert (repository / step.model_name / str(expected_version) / "model.py").is_file()


def test_versions_are_added_and_published_ones_stay_as_they_are(tmp_path):
    write_version(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.glob("*/1/*")}
    write_version(tmp_path)
    assert published_versions(tmp_path, "minilm") == [1, 2]
    assert {file: file.read_bytes() for file in tmp_path.glob("*/1/*")} == before
    for model in MODELS:
        assert list(read_config(tmp_path, model).version_policy.specific.versions) == [2]
    check_loadable(tmp_path, 2)
    assert {path.name for path in tmp_path.iterdir()} == {*MODELS, ".minilm.lock"}


def publish_and_be_killed(repository, moves):
    """Publish in a child process that gets SIGKILL before the file-system move number `moves`; False if it finished."""
    child = os.fork()
    if child == 0:
        remaining = iter(range(moves))

        def counted(move):
            def moving(*arguments):
                if next(remaining, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                return move(*arguments)

            return moving

        Path.rename, Path.replace = counted(Path.rename), counted(Path.replace)
        write_version(repository)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork in a process with threads
@pytest.mark.parametrize("already", [0, 1])
def test_a_killed_export_leaves_nothing_that_triton_would_load(already, tmp_path):
    moves = 0
    while True:
        repository = tmp_path / str(moves)
        for _ in range(already):
            write_version(repository)
        if not publish_and_be_killed(repository, moves):
            break
        ensemble = repository / "minilm" / "config.pbtxt"
        if already or ensemble.exists():
            served = read_config(repository, "minilm").version_policy.specific.versions[0]
            check_loadable(repository, served)
        write_version(repository)  # and the next export finds its way
        newest = published_versions(repository, "minilm")[-1]
        check_loadable(repository, newest)
        assert not list(repository.glob(".minilm-staging-*"))
        moves += 1
    assert moves == 4 + 4 + 3 * already  # version folders, configurations, and steps narrowed to the new version


def test_a_failure_while_building_leaves_the_repository_as_it_was(tmp_path):
    write_version(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    def build_half():
        with staged_version(tmp_path, "minilm") as staged:
            (staged.folder("minilm_encode") / "model.onnx").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        build_half()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_is_named(tmp_path):
    def fill():
        with staged_version(tmp_path, "minilm"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(PublishError, match="No space left on device; nothing was published"):
        fill()
    assert not list(tmp_path.glob("minilm*"))


def test_a_repository_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(PublishError, match=r"cannot write to the model repository: .*file"),
        staged_version(tmp_path / "file", "x"),
    ):
        pass


def test_one_export_of_a_pipeline_at_a_time(tmp_path):
    with (
        staged_version(tmp_path, "minilm"),
        pytest.raises(PublishError, match="another export of 'minilm'"),
        staged_version(tmp_path, "minilm"),
    ):
        pass
    with staged_version(tmp_path, "minilm"), staged_version(tmp_path, "other"):
        pass


@pytest.mark.parametrize(
    ("changes", "field"), [({"dimensions": 768}, "output"), ({"engine": Engine.ONNXRUNTIME}, "backend")]
)
def test_a_version_that_cannot_stand_beside_the_others_is_refused(changes, field, tmp_path):
    write_version(tmp_path)
    with pytest.raises(PublishError, match=f"minilm_encode is published with another {field}: .* under another --name"):
        write_version(tmp_path, **changes)
    assert published_versions(tmp_path, "minilm") == [1]
    check_loadable(tmp_path, 1)
