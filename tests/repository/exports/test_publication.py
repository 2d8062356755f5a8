"""Publication: versions beside each other, which of them is active, and what is refused."""

import errno
import fcntl
import os
import shutil
import time
from pathlib import Path

import pytest
from toy_versions import check_loadable, every_model_is_whole, step_config, write_version

from encserve_repository.activation import activate, rollback_version, surplus
from encserve_repository.config_text import from_text, to_text
from encserve_repository.errors import Busy, CannotWrite, Damaged, DoesNotFit, NotActive
from encserve_repository.layout import STEPS
from encserve_repository.publication import staging
from encserve_repository.publication.staging import staged_version
from encserve_repository.serving import is_served, marked_as_served
from encserve_repository.versions import active_config, active_version, published_versions
from encserve_repository.work_folder import find_work_folder

MODELS = [*(f"minilm_{step}" for step in STEPS), "minilm"]


def test_versions_are_added_and_published_ones_stay_as_they_are(repository):
    write_version(repository)
    before = {file: file.read_bytes() for file in repository.glob("*/1/*")}
    write_version(repository)
    assert published_versions(repository, "minilm") == [1, 2]
    assert {file: file.read_bytes() for file in repository.glob("*/1/*")} == before
    assert check_loadable(repository) == 2
    for model in MODELS:
        assert list(active_config(repository, model).version_policy.specific.versions) == [2]
    assert {path.name for path in repository.iterdir()} == {*MODELS}
    assert rollback_version(repository, "minilm") == 1


def test_what_a_running_server_serves_stays_active(repository):
    assert write_version(repository) == ["minilm"]
    with marked_as_served(repository):
        assert write_version(repository) == []
        assert active_version(repository, "minilm") == 1
        for model in MODELS:
            assert list(active_config(repository, model).version_policy.specific.versions) == [1]
        assert write_version(repository, "other") == ["other"]  # nothing was served of it
        assert write_version(repository, active=True) == ["minilm"]
        assert active_version(repository, "minilm") == 3
    assert write_version(repository, active=False) == []
    assert published_versions(repository, "minilm") == [1, 2, 3, 4]
    assert check_loadable(repository) == 3


def test_pipelines_that_share_an_encode_step_are_published_and_activated_together(repository):
    write_version(repository, "minilm", "minilm-tags")
    assert write_version(repository, "minilm", "minilm-tags") == ["minilm", "minilm-tags"]
    assert (check_loadable(repository), check_loadable(repository, "minilm-tags")) == (2, 2)
    assert surplus(repository) == set()
    shutil.rmtree(repository / "minilm-tags")
    for step in ("tokenize", "head"):
        shutil.rmtree(repository / f"minilm-tags_{step}")
    write_version(repository, "minilm", "minilm-tags", active=False)
    assert (check_loadable(repository), check_loadable(repository, "minilm-tags")) == (2, 3)
    every_model_is_whole(repository)


def test_a_publication_of_another_pipeline_that_ends_meanwhile_is_nobodys_trouble(repository, monkeypatch):
    """Its journal is seen, and gone when it is read."""
    write_version(repository, "other")
    journal = find_work_folder(repository).journal("other")
    journal.write_text("{}")
    genuine = Path.read_bytes

    def read_bytes(file):
        if file == journal:
            file.unlink()
        return genuine(file)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    write_version(repository)
    assert published_versions(repository, "minilm") == [1]


def test_what_is_published_but_could_not_become_active_is_told(repository, monkeypatch):
    def damaged(work, name, version):
        raise Damaged("config.pbtxt is none")

    write_version(repository)
    monkeypatch.setattr(staging, "activate", damaged)
    with pytest.raises(NotActive, match=r"version 2 of minilm is published, but not active: config\.pbtxt is none"):
        write_version(repository)
    assert published_versions(repository, "minilm") == [1, 2]
    (repository / "minilm/config.pbtxt").write_text("{")  # and what is active is read before anything is moved
    with pytest.raises(Damaged):
        write_version(repository, active=False)
    assert published_versions(repository, "minilm") == [1, 2]


def test_those_who_look_at_once_do_not_take_each_other_for_a_server(repository, monkeypatch):
    """A look holds the lock exclusively, for a moment."""
    repository.mkdir()
    looking = os.open(repository, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_EX)
    monkeypatch.setattr(time, "sleep", lambda pause_s: os.close(looking))
    assert not is_served(repository)
    monkeypatch.undo()
    with marked_as_served(repository):
        assert is_served(repository)


def test_one_export_of_a_pipeline_at_a_time(repository):
    with (
        staged_version(repository, "minilm"),
        pytest.raises(Busy, match="another export or promotion of 'minilm'"),
        staged_version(repository, "minilm-tags", "minilm"),
    ):
        pass
    with staged_version(repository, "minilm"), staged_version(repository, "other"):
        pass


def test_an_error_about_another_file_is_not_called_one_of_the_repository(repository, memory):
    with pytest.raises(FileNotFoundError, match=r"calibration\.txt"), staged_version(repository, "minilm"):
        (memory / "calibration.txt").read_text()
    with pytest.raises(OSError, match="No space left") as raised, staged_version(repository, "minilm"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere/else")
    assert not isinstance(raised.value, CannotWrite)


def test_a_repository_that_cannot_be_made(memory):
    (memory / "file").write_text("")
    with (
        pytest.raises(CannotWrite, match=r"cannot write to the model repository: .*file"),
        staged_version(memory / "file", "x"),
    ):
        pass


@pytest.mark.parametrize(("step", "field"), [({"width": 3}, "output"), ({"backend": "onnxruntime"}, "backend")])
def test_a_version_that_cannot_stand_beside_the_others_is_refused(step, field, repository):
    write_version(repository)
    with pytest.raises(DoesNotFit, match=f"minilm_tokenize is published with another {field}: .* under another --name"):
        write_version(repository, **step)
    assert published_versions(repository, "minilm") == [1]
    assert check_loadable(repository) == 1


def test_what_an_operator_tuned_by_hand_stays(repository):
    write_version(repository)
    file = repository / "minilm_encode/config.pbtxt"
    tuned = from_text(file.read_text())
    tuned.instance_group[0].count = 3
    file.write_text(to_text(tuned))
    write_version(repository)
    assert active_version(repository, "minilm") == 2
    assert active_config(repository, "minilm_encode").instance_group[0].count == 3
    work = find_work_folder(repository)
    with work.locked("minilm"):
        activate(work, "minilm", 1)
    assert active_config(repository, "minilm_encode").instance_group[0].count == 3
    assert step_config("minilm_encode", 1).instance_group[0].count == 1
