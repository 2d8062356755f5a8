"""The page through which a step says what it has to do, and the file that closes the door."""

import subprocess
import sys

import pytest

from encserve_server.steps.instance.load_page import Load, LoadReader, LoadWriter, is_closing, open_page, tokens_in


def test_the_page_carries_the_load_of_all_instances(tmp_path):
    file = tmp_path / "page"
    writers = [LoadWriter(file, instance) for instance in range(2)]
    reader = LoadReader(file)
    for writer in writers:
        writer.publish("interactive", Load(tokens=5, rate=10, room=100))
        writer.publish("bulk", Load(tokens=7, rate=0, room=50))
    assert reader.read("interactive") == Load(tokens=10, rate=20, room=200)
    assert reader.read("bulk") == Load(tokens=14, rate=0, room=100)
    assert not reader.has_ended()


def test_an_instance_that_starts_again_keeps_its_readers(tmp_path):
    file = tmp_path / "page"
    LoadWriter(file, 0).publish("bulk", Load(tokens=7, rate=1, room=50))
    reader = LoadReader(file)
    LoadWriter(file, 0)
    assert reader.read("bulk") == Load(tokens=0, rate=0, room=0)


def pages_of(folder):
    """The page of a step of two instances, of which the second has ended with work."""
    page = folder / "step.load"
    writers = [LoadWriter(page, instance) for instance in range(2)]
    for writer in writers:
        writer.publish("bulk", Load(tokens=7, rate=1, room=50))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    writers[1]._slot[0] = float(ended.pid)
    return page


def test_an_instance_whose_process_has_ended_has_nothing_to_do(tmp_path):
    page = pages_of(tmp_path)
    assert LoadReader(page).read("bulk") == Load(tokens=7, rate=1, room=50)
    assert tokens_in(tmp_path) == 7


def test_a_page_that_has_no_size_yet_is_passed_over(tmp_path):
    """Its step has created it this moment."""
    pages_of(tmp_path)
    (tmp_path / "new.load").touch()
    assert tokens_in(tmp_path) == 7
    assert open_page(tmp_path / "new.load") is open_page(tmp_path / "missing.load") is None


@pytest.mark.parametrize("content", [b"", bytes(8), bytes(100)])
def test_a_page_of_the_wrong_size_says_nothing_and_gets_its_size_from_its_step(tmp_path, content):
    file = tmp_path / "page"
    file.write_bytes(content)
    assert open_page(file) is None
    writer = LoadWriter(file, 0)
    writer.publish("bulk", Load(tokens=7, rate=1, room=50))
    assert open_page(file).read("bulk") == Load(tokens=7, rate=1, room=50)


def test_a_page_that_cannot_be_opened_says_nothing(tmp_path):
    (tmp_path / "folder.load").mkdir()
    assert open_page(tmp_path / "folder.load") is None


def test_a_full_disk_is_an_error_when_the_page_is_made_and_no_signal_later(tmp_path, monkeypatch):
    def full(fd, begin, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        LoadWriter(tmp_path / "page", 0)


def test_a_page_is_no_link_to_a_file_of_another(tmp_path):
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / "page").symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        LoadWriter(tmp_path / "page", 0)
    assert other.read_text() == "kept"


def test_a_server_without_a_folder_of_its_own_has_no_door_that_others_could_close(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("ENCSERVE_RUNTIME_FOLDER", str(tmp_path))
    assert not is_closing()
    (tmp_path / "closing").touch()
    assert is_closing()
    monkeypatch.delenv("ENCSERVE_RUNTIME_FOLDER")
    assert not is_closing()
