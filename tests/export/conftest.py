"""What tests of exports share."""

from pathlib import Path

import pytest
from traces_of_a_run import traced_anew, traces  # noqa: F401

from encserve_export.certificate import certificate_texts
from encserve_export.config import ExportConfig
from encserve_export.engines import speed

HERE = Path(__file__).parent
FEW = 32
"""Texts of most certificates of tests, of all lengths."""
AS_A_USER = {HERE / "certificate" / file for file in ("test_certify.py", "test_verify.py")}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """What holds for these tests and what they prepare, and not for others in the same process.

    Certificates ask few texts: for networks this small that is enough, and a mistake that few of them show, more show
    too. What is right is certified, and verified, with as many texts as a user's in `AS_A_USER`.
    """
    if HERE not in item.path.parents:
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificate_texts, "SECONDS", 0)
        patch.setattr(speed, "ENOUGH_S", 0)
        if item.path not in AS_A_USER:
            patch.setattr(certificate_texts, "LEAST", FEW)
            patch.setattr(certificate_texts, "RELATED", FEW)
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Networks this small gain nothing from threads."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def checkpoint_folder(tmp_path):
    """A small BERT checkpoint."""
    from .small_checkpoints import make_checkpoint

    return make_checkpoint(tmp_path / "checkpoint")


@pytest.fixture
def export_config(checkpoint_folder, tmp_path):
    """An export of the small BERT checkpoint, read as feature-extraction."""
    return ExportConfig(checkpoint=str(checkpoint_folder), name="tiny", repository=tmp_path / "repository")
