"""Files that are changed while they are served."""

import hashlib
import os
from pathlib import Path

import pytest

from encserve_server.steps.encode.served_files import PLACE, ServedFiles


def served(file, reported):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return ServedFiles(file.parent, {file.name: digest}, lambda place, error: reported.append((place, str(error))))


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "model.onnx.data"
    file.write_bytes(b"the certified table")
    os.utime(file, (1, 1))
    return file


def test_a_file_that_is_written_over_is_told_of_once(file):
    reported = []
    files = served(file, reported)
    files.tell()
    assert reported == []
    file.write_bytes(b"another table, mine")
    files.tell()
    file.write_bytes(b"and another one")
    files.tell()
    ((place, said),) = reported
    assert place == PLACE
    assert said.startswith(f"{file} was changed while it is served")
    files.close()


def test_a_renamed_file_a_touched_one_and_one_that_is_removed_change_nothing(file):
    reported = []
    files = served(file, reported)
    file.touch()
    files.tell()
    other = file.with_name("new")
    other.write_bytes(b"of the next start")
    other.rename(file)
    files.tell()
    file.unlink()
    files.tell()
    assert reported == []
    files.close()


def test_no_file_stays_open(file):
    before = list(Path("/proc/self/fd").iterdir())
    files = served(file, [])
    file.write_bytes(b"another")
    files.tell()
    files.close()
    files.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)
