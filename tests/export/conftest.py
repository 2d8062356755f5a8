"""What tests of exports share."""

from pathlib import Path

import pytest
import torch
from traces import traced_anew, traces  # noqa: F401

from encserve_export.certificate import certificate_texts
from encserve_export.config import ExportConfig

from .small_checkpoints import make_checkpoint

HERE = Path(__file__).parent
FEW = 32
"""Texts of a certificate that is not what a test is about, of all lengths."""
torch.set_num_threads(1)  # networks this small gain nothing from threads


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """What holds for these tests and what they prepare, and not for others in the same process.

    Certificates ask no more than the least number of texts: for networks this small that is enough. Whether one could
    fail is what `certificate` asks, with as many texts as a user's; elsewhere few are asked.
    """
    if HERE not in item.path.parents:
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificate_texts, "SECONDS", 0)
        if HERE / "certificate" not in item.path.parents:
            patch.setattr(certificate_texts, "LEAST", FEW)
        return (yield)


@pytest.fixture
def checkpoint_folder(tmp_path):
    """A small BERT checkpoint."""
    return make_checkpoint(tmp_path / "checkpoint")


@pytest.fixture
def export_config(checkpoint_folder, tmp_path):
    """An export of the small BERT checkpoint, read as feature-extraction."""
    return ExportConfig(checkpoint=str(checkpoint_folder), name="tiny", repository=tmp_path / "repository")
