"""What a killed export leaves is gone after the next export, of whatever pipeline; what is under way stays."""

import json
import os

import pytest

from encserve_repository.publication.staging import staged_version
from encserve_repository.work_folder import open_work_folder


@pytest.fixture
def repository(tmp_path):
    return tmp_path / "models"


def killed(repository, *names):
    """An export that is killed while it makes a version."""
    child = os.fork()
    if child == 0:
        with staged_version(repository, *names) as staged:
            (staged.step_folders()["encode"] / "model.onnx").write_bytes(b"a large file")
            os._exit(9)  # nothing is tidied up
    os.waitpid(child, 0)
    assert open_work_folder(repository).staging(names[0]).is_dir()


def test_the_next_export_of_another_pipeline_clears_it_away(repository):
    killed(repository, "minilm", "minilm-tags")
    with staged_version(repository, "other"):
        work = open_work_folder(repository)
        assert not work.staging("minilm").exists()
        assert work.staging("other").is_dir()


def test_what_is_under_way_stays(repository):
    with staged_version(repository, "minilm") as staged, staged_version(repository, "other"):
        assert staged.root.is_dir()
        assert staged.step_folders()["encode"].is_dir()


def test_a_publication_that_had_begun_waits_for_its_own_pipeline(repository):
    killed(repository, "minilm")
    work = open_work_folder(repository)
    begun = {"names": ["minilm"], "version": 1, "steps": [], "ensembles": []}
    work.journal("minilm").write_text(json.dumps(begun))
    with staged_version(repository, "other"):
        assert work.staging("minilm").is_dir()
