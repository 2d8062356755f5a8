"""One small pipeline for all tests of pipelines in process."""

import shutil

import pytest

from encserve_export.config import ExportConfig
from encserve_export.export import export
from export.small_checkpoints import make_checkpoint


@pytest.fixture(scope="package")
def exported(tmp_path_factory):
    """A repository with the pipeline `tiny`, which tests only read."""
    folder = tmp_path_factory.mktemp("local")
    config = ExportConfig(
        checkpoint=str(make_checkpoint(folder / "checkpoint")), name="tiny", repository=folder / "models"
    )
    export(config)
    return config.repository


@pytest.fixture
def repository(exported, tmp_path):
    """A copy of it that may be spoilt."""
    return shutil.copytree(exported, tmp_path / "models")
