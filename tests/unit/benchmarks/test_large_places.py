"""Where the benchmark of a large network makes what it needs, and what it takes from an earlier run."""

from pathlib import Path

import pytest
from benchmarks.large import __main__ as large


@pytest.fixture
def written(monkeypatch):
    """The checkpoints that were written, by whether they are tiny; the first attempt breaks where it is told to."""
    written = []

    def write(folder: Path, *, tiny):
        folder.mkdir(parents=True)
        written.append(tiny)
        if written == ["breaks", tiny]:
            raise OSError("no space left")
        (folder / "config.json").write_text("{}")
        return folder

    monkeypatch.setattr(large, "write_checkpoint", write)
    return written


def test_a_rehearsal_and_a_run_have_checkpoints_of_their_own_each_made_once(written, tmp_path):
    work = tmp_path / "kept"
    made = [large.made_checkpoint(work, tiny=tiny).name for tiny in (True, False, True, False)]
    assert made == ["checkpoint-tiny", "checkpoint", "checkpoint-tiny", "checkpoint"]
    assert written == [True, False]


def test_a_checkpoint_that_was_not_finished_is_made_anew(written, tmp_path):
    written.append("breaks")
    with pytest.raises(OSError, match="no space left"):
        large.made_checkpoint(tmp_path, tiny=False)
    assert list(tmp_path.iterdir()) == []
    assert (large.made_checkpoint(tmp_path, tiny=False) / "config.json").exists()


def test_nothing_is_exported_where_something_was_before(written, monkeypatch, tmp_path):
    (tmp_path / "bf16-tiny").mkdir()
    monkeypatch.setattr("sys.argv", ["large", "--keep", str(tmp_path), "--tiny"])
    with pytest.raises(SystemExit, match=r"bf16-tiny is there already; remove it, or let --keep name another folder"):
        large.main()
    assert not written
