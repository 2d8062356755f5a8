"""An exported pipeline, verified: its own steps answer in this process in the place of a server."""

import numpy as np
import pytest

from encserve_export.config import ExportConfig
from encserve_export.export import export
from encserve_export.texts.calibration_file import own_texts
from encserve_export.verify import verify
from export.small_checkpoints import make_checkpoint

from .in_process import served_in_process


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A repository with an exported pipeline, and the file of which a third was held out."""
    folder = tmp_path_factory.mktemp("exported")
    file = folder / "own.txt"
    lines = [f"the {word} of number {n} stands{n} where{n} it{n} was{n} put{n}" for n, word in enumerate(["lamp"] * 80)]
    file.write_text("\n".join(lines))
    checkpoint = make_checkpoint(folder / "checkpoint")
    config = ExportConfig(checkpoint=str(checkpoint), name="tiny", repository=folder / "models", calibration=file)
    manifest = export(config)
    return config.repository, file, manifest


def verified(exported, spoil=lambda rows: rows):
    """Verify it, its network's rows changed by `spoil`."""
    repository, file, manifest = exported
    with served_in_process(repository, manifest, spoil) as transport:
        return verify(transport, "tiny", repository, timeout_s=60, own=own_texts(file, "text"))


def test_all_that_was_certified_is_found_again(exported):
    _, _, manifest = exported
    verification = verified(exported)
    assert (verification.complaints, verification.left_out) == ([], [])
    assert verification.asked["corpus"] == manifest.parity["texts"] == 200
    assert verification.asked["variants"] == manifest.parity["variants"]
    assert verification.asked["held_out"] == manifest.parity["held_out"]["texts"]
    assert verification.asked["lengths"] > 20
    figures = {figure.name for figure in verification.figures}
    assert figures == {*manifest.parity["figures"]}


def test_rows_that_have_changed_are_drift_with_the_worst_text(exported):
    def spoil(tensors):
        return tensors | {"embedding": tensors["embedding"] * np.float32(1.01)}

    complaints = verified(exported, spoil).complaints
    assert any("worst is text " in each for each in complaints)
    assert any(each.startswith("on the held-out texts of --calibration, answers_max_abs_diff") for each in complaints)


def test_no_word_of_the_users_own_stands_in_the_repository(exported):
    repository, *_ = exported
    assert not [file for file in repository.rglob("*") if file.is_file() and b"stands7" in content_of(file)]


def content_of(file):
    """What a file holds; of an archive of numpy what is packed in it."""
    if file.suffix != ".npz":
        return file.read_bytes()
    with np.load(file) as arrays:
        return b"".join(arrays[name].tobytes() for name in arrays)
