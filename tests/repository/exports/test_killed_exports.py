"""An export that is killed, or fails, before any change of the disk: all of a version is published or nothing."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from repositories import KILLED, contents, refusal_of
from toy_versions import changes_counted, check_loadable, every_model_is_whole, killed_at, write_version

from encserve_repository import durable
from encserve_repository.activation import surplus
from encserve_repository.errors import CannotWrite, Damaged, NotActive
from encserve_repository.publication.staging import staged_version
from encserve_repository.versions import active_config, published_versions
from encserve_repository.work_folder import find_work_folder

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork in a process with threads


@pytest.mark.parametrize("already", KILLED.values(), ids=KILLED)
def test_an_export_killed_at_any_change_of_the_disk_leaves_whole_models_and_the_next_one_finds_its_way(already, memory):
    """Of two heads, since those change all that one does."""
    names, change = ("minilm", "minilm-tags"), 0
    while True:
        repository = memory / str(change) / "models"
        for _ in range(already):
            write_version(repository, *names, warmup=("a",))
        if not killed_at(change, lambda repository=repository: write_version(repository, *names, warmup=("a", "b"))):
            break
        if repository.exists():
            every_model_is_whole(repository)
        for name in names:
            if already or active_config(repository, name):
                check_loadable(repository, name)
        write_version(repository, *names, warmup=("a", "b"))
        versions = {name: published_versions(repository, name) for name in names}
        assert len({tuple(each) for each in versions.values()}) == 1, "all or none"
        for name in names:
            assert check_loadable(repository, name) == versions[name][-1]
        work = find_work_folder(repository)
        assert not work.journal(names[0]).exists()
        assert not work.staging(names[0]).exists()
        assert surplus(repository) == set()
        change += 1
    assert change > 15


def test_the_next_export_may_be_killed_too(memory):
    """A recovery that is killed itself is taken up again."""
    moves = ("rename", "unlink", "rmdir")
    for first in range(1, 9):
        for second in range(6):
            repository = memory / f"{first}-{second}" / "models"
            write_version(repository)
            for change in (first, second):
                killed_at(change, lambda repository=repository: write_version(repository), moves)
                every_model_is_whole(repository)
                check_loadable(repository)
            write_version(repository)
            assert check_loadable(repository) == published_versions(repository, "minilm")[-1]


@pytest.mark.parametrize("already", KILLED.values(), ids=KILLED)
def test_a_full_disk_at_any_change_publishes_all_or_nothing_and_is_named(already, memory):
    def full(name, arguments):
        if not said or name != "rename":  # what is there can still be moved
            said.append(name)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(repository / "x"))

    change, refused = 0, 0
    while True:
        repository = memory / str(change) / "models"
        for _ in range(already):
            write_version(repository)
        before = contents(repository) if already else {}
        said = []
        with changes_counted(change, full, ("rename", "mkdir", "write")):
            message = refusal_of((CannotWrite, NotActive), repository)
        assert not message or "No space left on device" in message
        refused += bool(message)
        published = published_versions(repository, "minilm")
        if len(published) == already:
            assert (contents(repository) if repository.is_dir() else {}) == before
        if published:
            check_loadable(repository)
            every_model_is_whole(repository)
        write_version(repository)
        assert check_loadable(repository) == published_versions(repository, "minilm")[-1]
        if not said:
            break
        change += 1
    assert refused > 10


def test_content_is_on_disk_before_its_name(repository, monkeypatch):
    """In the order of the calls: whatever is renamed was brought to disk, its files first, then both folders."""
    said = []
    rename, fsync = os.rename, os.fsync

    def renaming(source, target):
        said.append(("rename", Path(source), Path(target), {file for file in source.rglob("*") if file.is_file()}))
        rename(source, target)

    monkeypatch.setattr(os, "rename", renaming)
    monkeypatch.setattr(
        os, "fsync", lambda fd: (said.append(("fsync", Path(f"/proc/self/fd/{fd}").readlink())), fsync(fd))[1]
    )
    write_version(repository)
    write_version(repository)
    renames = [index for index, (what, *_) in enumerate(said) if what == "rename"]
    moved = 0
    for index in renames:
        _, source, target, files = said[index]
        if source.name.startswith(".encserve-probe"):
            continue
        moved += 1
        before = {path for what, path, *_ in said[:index] if what == "fsync"}
        after = [path for what, path, *_ in said[index + 1 : index + 3] if what == "fsync"]
        assert source in before
        assert files <= before
        assert set(after) == {source.parent, target.parent}
    assert moved > 12


def test_ctrl_c_ends_an_export_also_when_all_is_in_place(repository, monkeypatch):
    """While the second ensemble is moved: the version is published, and that is finished first."""
    move, interrupted = durable.move, []

    def interrupt(source, target):
        if target == repository / "minilm-tags" and not interrupted:
            interrupted.append(target)
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(durable, "move", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_version(repository, "minilm", "minilm-tags")
    assert (check_loadable(repository), check_loadable(repository, "minilm-tags")) == (1, 1)
    work = find_work_folder(repository)
    assert not work.journal("minilm").exists()
    assert not work.staging("minilm").exists()


def test_a_staging_folder_that_is_gone_is_named(repository):
    write_version(repository)
    assert killed_at(3, lambda: write_version(repository), ("rename",))
    work = find_work_folder(repository)
    assert work.journal("minilm").exists()
    shutil.rmtree(work.staging("minilm"))
    with pytest.raises(Damaged, match=r"version 2 that was interrupted, and .*staging.* is gone: remove that version"):
        write_version(repository)


def test_a_failure_while_making_leaves_the_repository_as_it_was(repository):
    write_version(repository)
    before = contents(repository)

    def make_half():
        with staged_version(repository, "minilm") as staged:
            (staged.folder("minilm_encode") / "model.onnx").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        make_half()
    assert contents(repository) == before
    assert not find_work_folder(repository).staging("minilm").exists()


def test_files_are_written_whole_whatever_the_system_takes_at_once(memory, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: write(fd, bytes(content)[:3]))
    durable.write_file(memory / "file", b"more than three bytes")
    assert (memory / "file").read_bytes() == b"more than three bytes"
