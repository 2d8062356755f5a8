"""Files of what is served that are changed in place."""

import json
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from toy_versions import write_version

from encserve_repository.activation import activate
from encserve_repository.manifest import sha256_of
from encserve_repository.serving import marked_as_served
from encserve_repository.work_folder import open_work_folder
from encserve_server.liveness import changed_files, watch
from encserve_server.liveness.changed_files import ChangedFiles


def add_table(repository, step, engine, version=1):
    """A table in the folder of a step's version, which its manifest lists."""
    file = repository / step / str(version) / "model.onnx.data"
    file.write_bytes(b"the certified table")
    os.utime(file, (1, 1))
    manifest = repository / "minilm" / str(version) / "manifest.json"
    stated = json.loads(manifest.read_text())
    stated["files"][str(file.relative_to(repository))] = sha256_of(file)
    manifest.write_text(json.dumps(stated | {"engine": engine}))
    return file


@pytest.fixture
def table(tmp_path):
    """A table that a C++ backend reads where it lies."""
    write_version(tmp_path / "models", engine="onnxruntime")
    return add_table(tmp_path / "models", "minilm_encode", "onnxruntime")


@pytest.fixture
def watching(table):
    """What looks after it, and what that says."""
    said = []
    return ChangedFiles(table.parents[2], ["minilm"], report=said.append), said


def test_a_table_that_is_written_over_is_told_of_once(watching, table):
    files, said = watching
    files.look()
    assert said == []
    for content in (b"another table, mine", b"and another one"):
        table.write_bytes(content)
        files.look()
    (line,) = said
    assert line.startswith(f"{table} was changed while it is served")


def test_a_touched_a_renamed_and_a_removed_file_change_nothing(watching, table):
    files, said = watching
    table.touch()
    files.look()
    other = table.with_name("new")
    other.write_bytes(b"of the next start")
    other.rename(table)
    files.look()
    table.unlink()
    files.look()
    assert said == []


def test_what_is_in_memory_since_the_start_is_not_told(watching, table):
    files, said = watching
    (table.parents[2] / "minilm_head" / "1" / "model.py").write_text("pass")
    files.look()
    assert said == []


@pytest.mark.parametrize(("step", "told"), [("minilm_encode", False), ("minilm_head", True)])
def test_the_encode_step_of_our_engine_looks_after_its_own_files(tmp_path, step, told):
    write_version(tmp_path / "models")
    file = add_table(tmp_path / "models", step, "python")
    said = []
    files = ChangedFiles(tmp_path / "models", ["minilm"], report=said.append)
    file.write_bytes(b"another")
    files.look()
    assert bool(said) == told


def test_a_version_that_becomes_active_is_looked_after(watching, table):
    files, said = watching
    repository = table.parents[2]
    with marked_as_served(repository):
        write_version(repository, engine="onnxruntime")
    second = add_table(repository, "minilm_encode", "onnxruntime", version=2)
    work = open_work_folder(repository)
    with work.locked("minilm"):
        activate(work, "minilm", 2)
    files.look()
    second.write_bytes(b"another")
    table.write_bytes(b"nobody is served this any more")
    files.look()
    assert [line.partition(" was")[0] for line in said] == [str(second)]


def test_a_repository_that_cannot_be_read_for_a_while_is_looked_at_again(watching, table):
    files, said = watching
    config = table.parents[2] / "minilm" / "config.pbtxt"
    text = config.read_text()
    config.write_text("damaged {")
    files.look()
    config.write_text(text)
    table.write_bytes(b"another")
    files.look()
    assert len(said) == 1


def test_a_look_waits_for_nobody_and_comes_once_at_a_time(watching, table, monkeypatch):
    files, _ = watching
    begun, goes_on, looks = threading.Event(), threading.Event(), []

    def look():
        looks.append(1)
        begun.set()
        goes_on.wait(60)

    monkeypatch.setattr(files, "look", look)
    for _ in range(3):
        files.begin_to_look()
    assert begun.wait(60)
    assert files._thread.daemon, "and no end of the process waits for it"
    goes_on.set()
    assert looks == [1]


def test_a_manifest_that_cannot_be_read_at_first_is_read_again(table, monkeypatch):
    said, manifest_of = [], changed_files.manifest_of

    def stale(*given):
        raise OSError("stale file handle")

    monkeypatch.setattr(changed_files, "manifest_of", stale)
    files = ChangedFiles(table.parents[2], ["minilm"], report=said.append)
    monkeypatch.setattr(changed_files, "manifest_of", manifest_of)
    files.look()
    table.write_bytes(b"another")
    files.look()
    assert len(said) == 1


@pytest.mark.parametrize("unread", ["manifest_of", "active_config"])
def test_what_was_changed_before_it_could_be_read_is_told(table, monkeypatch, unread):
    """The digests say it; what lies there when they can be read is no base to compare with."""
    said, reads = [], getattr(changed_files, unread)

    def stale(*given):
        raise OSError("stale file handle")

    monkeypatch.setattr(changed_files, unread, stale)
    files = ChangedFiles(table.parents[2], ["minilm"], report=said.append)
    table.write_bytes(b"another")
    monkeypatch.setattr(changed_files, unread, reads)
    for _ in range(2):
        files.look()
    (line,) = said
    assert line.startswith(f"{table} was changed while it is served")


def test_what_could_be_read_again_is_compared_with_its_digests_once(table, monkeypatch):
    """And the next version, which could be read at the first look at it, is not: large files take seconds."""
    reads, digest_of, compared, said = changed_files.active_config, changed_files.sha256_of, [], []

    def stale(*given):
        raise OSError("stale file handle")

    monkeypatch.setattr(changed_files, "active_config", stale)
    monkeypatch.setattr(changed_files, "sha256_of", lambda file: compared.append(file) or digest_of(file))
    repository = table.parents[2]
    files = ChangedFiles(repository, ["minilm"], report=said.append)
    monkeypatch.setattr(changed_files, "active_config", reads)
    files.look()
    assert table in compared
    with marked_as_served(repository):
        write_version(repository, engine="onnxruntime")
    add_table(repository, "minilm_encode", "onnxruntime", version=2)
    compared.clear()
    work = open_work_folder(repository)
    for version in (2, 1):
        with work.locked("minilm"):
            activate(work, "minilm", version)
        files.look()
    assert (compared, said) == ([], [])


@pytest.mark.parametrize(("where", "failing"), [(changed_files, "sha256_of"), (Path, "stat")])
def test_a_file_that_cannot_be_read_for_a_while_is_looked_at_again(watching, table, monkeypatch, where, failing):
    files, said = watching
    table.write_bytes(b"another")
    works = getattr(where, failing)

    def stale(file, **how):
        if file == table:
            raise OSError("stale file handle")
        return works(file, **how)

    monkeypatch.setattr(where, failing, stale)
    files.look()
    assert said == []
    monkeypatch.setattr(where, failing, works)
    files.look()
    assert len(said) == 1


def test_a_look_that_fails_is_told_of_once(watching, monkeypatch):
    files, said = watching

    def fails():
        raise RuntimeError("no such thing")

    monkeypatch.setattr(files, "look", fails)
    for _ in range(2):
        files.begin_to_look()
        files._thread.join()
    (line,) = said
    assert line.endswith("is not known now: RuntimeError('no such thing')")


def test_supervision_looks_in_its_rounds(table, monkeypatch):
    monkeypatch.setattr(watch, "ask", lambda asker, pipeline: None)
    process = SimpleNamespace(is_alive=True, pid=0, stub_pids=tuple)
    server = SimpleNamespace(
        process=process,
        config=SimpleNamespace(repository=table.parents[2]),
        pipelines=[SimpleNamespace(name="minilm")],
        metrics_url="http://127.0.0.1:9",
    )
    said = []
    watching = watch.Watch(server, report=said.append)
    table.write_bytes(b"another")
    deadline_s = time.monotonic() + 60
    while not said:
        assert watching._round(None) == ""
        assert time.monotonic() < deadline_s
    assert "was changed while it is served" in said[0]
