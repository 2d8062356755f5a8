"""Where encserve works on a repository, whatever file system that is on."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from toy_versions import check_loadable, killed_at, write_version

from encserve_repository import durable, work_folder
from encserve_repository.errors import Busy, CannotWrite
from encserve_repository.publication.staging import staged_version
from encserve_repository.versions import published_versions
from encserve_repository.work_folder import find_work_folder, open_work_folder

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork in a process with threads


@contextmanager
def mounted(folder, *options):
    """A file system of its own at `folder`."""
    folder.mkdir(exist_ok=True)
    if subprocess.run(["mount", *options, folder], check=False, capture_output=True).returncode:
        pytest.skip("mounting takes root")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_it_lies_beside_the_repository(tmp_path):
    write_version(tmp_path / "models")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".models.encserve", "models"]
    assert not any(path.name.startswith(".") for path in (tmp_path / "models").iterdir())
    (tmp_path / "link").symlink_to("models")
    assert find_work_folder(tmp_path / "link") == find_work_folder(tmp_path / "models")


def test_a_repository_that_is_made_is_on_disk_before_anything_is_put_into_it(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(durable, "sync", synced.append)
    open_work_folder(tmp_path / "new" / "models")
    assert synced == [tmp_path, tmp_path / "new", tmp_path / "new"]  # of new, of models, of .models.encserve


def test_a_repository_on_a_mount_of_its_own_has_it_inside(tmp_path):
    """As in a container that mounts the repository alone, where nothing can be renamed into it from beside."""
    repository = tmp_path / "models"
    with mounted(repository, "-t", "tmpfs", "tmpfs"):
        work = open_work_folder(repository)
        assert (work.is_inside, work.path) == (True, repository / ".encserve")
        write_version(repository)
        write_version(repository)
        assert check_loadable(repository) == 2
        assert not (tmp_path / ".models.encserve").exists()


def test_a_bind_mount_of_the_same_file_system_has_it_inside(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    with mounted(tmp_path / "models", "--bind", tmp_path / "elsewhere"):
        assert open_work_folder(tmp_path / "models").is_inside
        write_version(tmp_path / "models")
    assert check_loadable(tmp_path / "elsewhere") == 1


def test_one_that_was_used_inside_stays_in_use(tmp_path):
    (tmp_path / "models/.encserve").mkdir(parents=True)
    write_version(tmp_path / "models")
    assert not (tmp_path / ".models.encserve").exists()


def test_what_an_interrupted_export_left_beside_is_taken_up_from_inside(tmp_path):
    """A container that mounts the repository alone makes the folder inside, which the host then uses, too."""
    names = ("minilm", "minilm-tags")
    for renames in range(2, 9):  # before the first piece is moved, until one of two ensembles is
        repository = tmp_path / str(renames) / "models"
        write_version(repository, *names)
        beside = find_work_folder(repository)
        assert killed_at(renames, lambda repository=repository: write_version(repository, *names), ("rename",))
        assert beside.journal("minilm").exists()
        (repository / ".encserve").mkdir()
        write_version(repository, *names)
        assert check_loadable(repository) == published_versions(repository, "minilm")[-1]
        assert not beside.journal("minilm").exists()
        assert not beside.staging("minilm").exists()


def test_a_lock_that_is_held_beside_holds_inside_too(tmp_path):
    repository = tmp_path / "models"
    with staged_version(repository, "minilm"):
        (repository / ".encserve").mkdir()
        with (
            pytest.raises(Busy, match=r"another export .* is running; it holds .*/\.models\.encserve/minilm/lock"),
            staged_version(repository, "minilm"),
        ):
            pass
        write_version(repository, "other")
    write_version(repository)


def test_many_open_it_at_once(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        opened = set(threads.map(lambda each: open_work_folder(tmp_path / str(each // 40) / "models").path, range(400)))
    assert opened == {tmp_path / str(each) / ".models.encserve" for each in range(10)}
    assert not list(tmp_path.rglob("*probe*"))


def test_a_read_only_repository_is_named_before_anything_is_done(tmp_path):
    repository = tmp_path / "models"
    write_version(repository)
    (tmp_path / "seen").mkdir()
    with mounted(tmp_path / "seen", "--bind", repository):
        subprocess.run(["mount", "-o", "remount,ro,bind", tmp_path / "seen"], check=True)
        with (
            pytest.raises(CannotWrite, match=r"cannot write to the model repository: .*seen.*: Read-only file system"),
            staged_version(tmp_path / "seen", "minilm"),
        ):
            pytest.fail("the checkpoint would have been read")
        assert check_loadable(tmp_path / "seen") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".models.encserve", "models", "seen"]


def test_a_disk_that_is_full_publishes_nothing_and_is_named(tmp_path):
    repository = tmp_path / "models"
    with mounted(repository, "-t", "tmpfs", "-o", "size=256k", "tmpfs"):
        write_version(repository)

        def fill():
            with staged_version(repository, "minilm") as staged:
                (staged.folder("minilm_encode") / "model.onnx").write_bytes(bytes(2**20))

        with pytest.raises(CannotWrite, match=r"No space left on device; nothing was published"):
            fill()
        assert published_versions(repository, "minilm") == [1]
        write_version(repository)


def test_locks_end_with_their_process(tmp_path):
    work = open_work_folder(tmp_path / "models")
    child = os.fork()
    if child == 0:
        held = work.locked("minilm")
        held.__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    with work.locked("minilm"):
        assert work_folder.find_work_folder(tmp_path / "models") == work
