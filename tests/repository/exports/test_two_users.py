"""Two users of one group export to one repository, each with files that only they can write (umask 022)."""

import os

import pytest
from toy_versions import check_loadable, write_version

from encserve_repository.work_folder import INSIDE, find_work_folder

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of fork in a process with threads
    pytest.mark.skipif(os.geteuid() != 0, reason="being two users takes root"),
]
ONE, OTHER, GROUP = 54_321, 54_322, 54_320


def export_as(user, repository, name="minilm"):
    """What an export by a user fails with, in a process of its own; empty where it is done."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setegid(GROUP)
            os.seteuid(user)
            os.umask(0o022)
            write_version(repository, name)
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        message = said.read()
    os.waitpid(child, 0)
    return message


@pytest.fixture
def shared(memory):
    """A repository in a folder, in both of which the group may write."""
    repository = memory / "models"
    repository.mkdir()
    for folder in (memory, repository):
        os.chown(folder, 0, GROUP)
        folder.chmod(0o775)
    return repository


@pytest.mark.parametrize("name", ["minilm", "other"])
def test_an_export_that_may_not_use_the_work_folder_says_so_and_leaves_it_to_the_first(shared, name):
    assert export_as(ONE, shared) == ""
    beside = find_work_folder(shared).path
    assert beside.stat().st_uid == ONE
    refused = export_as(OTHER, shared, name)
    assert refused.startswith("CannotWrite: cannot write to the model repository: ")
    assert f"{beside}" in refused
    assert "Permission denied" in refused
    assert not (shared / INSIDE).exists()
    assert export_as(ONE, shared) == ""
    assert check_loadable(shared) == 2


def test_where_both_may_write_into_the_work_folder_each_exports_pipelines_of_its_own(shared):
    assert export_as(ONE, shared) == ""
    find_work_folder(shared).path.chmod(0o775)
    assert export_as(OTHER, shared, "other") == ""
    assert "Permission denied" in export_as(OTHER, shared)
    assert (check_loadable(shared), check_loadable(shared, "other")) == (1, 1)
