"""Pipelines are removed by what their manifests list; what others made stays wherever it lies."""

import json
import shutil

import pytest
from repositories import FOREIGN, put
from toy_versions import killed_at, write_version

from encserve_repository import durable
from encserve_repository.errors import Busy
from encserve_repository.publication.removal import main, remove_pipelines
from encserve_repository.serving import marked_as_served
from encserve_repository.work_folder import TIMINGS, find_work_folder, open_work_folder

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork in a process with threads


OURS = ("minilm", "minilm_tokenize", "minilm_encode", "minilm_head")


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


def removed(repository):
    """What is said of it, and the files that are left."""
    said = []
    remove_pipelines(repository, said.append)
    return said, files_in(repository)


def test_all_versions_heads_engines_and_warmups_go(repository):
    write_version(repository, "minilm", "minilm-tags", warmup=["lengths_1x16"])
    write_version(repository, "minilm", "minilm-tags", warmup=["lengths_1x16", "lengths_1x64"])
    write_version(repository, "minilm", engine="tensorrt")
    (repository / "minilm_head/1/__pycache__").mkdir()
    (repository / "minilm_head/1/__pycache__/model.cpython-312.pyc").touch()
    said, _ = removed(repository)
    assert said == [f"removing {repository / name} and its steps" for name in ("minilm", "minilm-tags")]
    assert [*repository.parent.iterdir()] == [repository]
    assert [*repository.iterdir()] == []


def test_what_a_plan_left_that_was_built_in_the_background_goes_too(repository):
    """Its log lies beside the manifest, and TensorRT's timings in the work folder."""
    write_version(repository, engine="tensorrt")
    work = open_work_folder(repository)
    (work.path / f"{TIMINGS}10.13-sm_90.timing").touch()
    durable.make_folder(work.of("minilm"))
    work.build_log("minilm").write_text("what the build said")
    work.keep_build_log("minilm", 1)
    assert (repository / "minilm/1/build.log").is_file()
    assert removed(repository) == ([f"removing {repository / 'minilm'} and its steps"], set())
    assert [*repository.parent.iterdir()] == [repository]


def test_an_empty_folder_and_none_are_left_alone(repository):
    remove_pipelines(repository, print)
    assert not repository.exists()
    repository.mkdir()
    assert removed(repository) == ([], set())
    assert [*repository.parent.iterdir()] == [repository]


@pytest.mark.parametrize("path", FOREIGN.values(), ids=FOREIGN)
def test_what_others_made_under_our_names_stays_and_the_folder_is_named(path, repository):
    write_version(repository)
    if (repository / path).exists():
        path = f"{path}-of-others"
    foreign = put(repository, path)
    said, left = removed(repository)
    model = path.partition("/")[0]
    assert path in left
    assert left <= {path, f"{model}/config.pbtxt"}  # that of a model which is not all ours
    assert foreign.read_text() == "not of encserve"
    named = any(line.startswith(f"left {repository / model}: ") for line in said)
    assert named == (model in OURS and (repository / model).is_dir())


def test_what_was_changed_since_and_what_lies_behind_a_link_stay(repository, tmp_path):
    write_version(repository)
    (repository / "minilm_head/1/model.py").write_text("changed")
    shutil.move(repository / "minilm_tokenize", tmp_path / "elsewhere")
    (repository / "minilm_tokenize").symlink_to(tmp_path / "elsewhere")
    (repository / "minilm_encode/warmup").mkdir()
    (repository / "minilm_encode/warmup/mine").touch()
    _, left = removed(repository)
    left -= {"minilm_head/config.pbtxt", "minilm_encode/config.pbtxt"}
    assert left == {"minilm_head/1/model.py", "minilm_tokenize", "minilm_encode/warmup/mine"}
    assert files_in(tmp_path / "elsewhere") == {"config.pbtxt", "1/config.pbtxt", "1/model.py"}


@pytest.mark.parametrize(
    "files", [{"minilm_head/1/model.py": ""}, {"../outside/1/file": ""}, ["minilm_head/1/model.py"], 7]
)
def test_no_manifest_of_others_removes_anything(files, repository, tmp_path):
    write_version(repository)
    (repository / "llm/1").mkdir(parents=True)
    (repository / "llm/1/manifest.json").write_text(json.dumps({"files": files}))
    outside = repository.parent / "outside/1/file"
    outside.parent.mkdir(parents=True)
    outside.touch()
    said, left = removed(repository)
    assert left == {"llm/1/manifest.json"}  # ours is gone, the other says nothing of encserve
    assert outside.exists()
    assert not any("llm" in line for line in said)


def test_nothing_is_removed_while_a_server_runs_or_an_export_of_any_of_them(repository, monkeypatch, capsys):
    write_version(repository, "minilm", "minilm-tags")
    before = files_in(repository)
    with marked_as_served(repository), pytest.raises(Busy, match="a server runs on"):
        remove_pipelines(repository, print)
    with find_work_folder(repository).locked("minilm-tags"):
        monkeypatch.setattr("sys.argv", ["removal", str(repository)])
        assert main() == 1
        assert "another export or promotion of 'minilm-tags'" in capsys.readouterr().err
    assert files_in(repository) == before


def nothing_is_left(repository):
    return all(entry.name.startswith(".encserve-probe") for entry in repository.iterdir())  # of who was killed probing


def test_what_an_interrupted_export_left_goes_too(repository):
    change = 0
    while killed_at(change, lambda: write_version(repository)):
        remove_pipelines(repository, lambda line: None)
        assert not repository.exists() or nothing_is_left(repository)
        change += 1
    assert change > 10


def test_an_interrupted_removal_is_ended_by_the_next(memory):
    change = 0
    while True:
        repository = memory / str(change) / "models"
        write_version(repository)
        if not killed_at(change, lambda repository=repository: remove_pipelines(repository, lambda line: None)):
            break
        remove_pipelines(repository, lambda line: None)
        assert nothing_is_left(repository)
        change += 1
    assert change > 10
