"""The files of sampled texts: who may read them, how long they stay, and what a full disk does."""

import errno
import os
import resource
import subprocess
import sys

import pytest

from encserve_gateway.samples.folder import DAY_S, Full, SampleFolder

NEW_YEAR_S = 1_798_761_600  # 2027-01-01T00:00:00Z


class Clock:
    def __init__(self):
        self.now_s = NEW_YEAR_S

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def folder_of(tmp_path, clock, **limits):
    return SampleFolder(tmp_path / "samples", **{"max_bytes": 1_000, "days": 2, **limits}, now=clock)


def files(tmp_path):
    return {file.name: file.read_bytes() for file in sorted((tmp_path / "samples").iterdir())}


def test_a_line_is_in_the_file_of_its_day_which_its_owner_alone_reads(tmp_path, clock):
    folder = folder_of(tmp_path, clock)
    folder.append(b"one\n")
    clock.now_s += DAY_S
    folder.append(b"two\n")
    assert files(tmp_path) == {"2027-01-01.jsonl": b"one\n", "2027-01-02.jsonl": b"two\n"}
    assert (tmp_path / "samples").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "samples").iterdir()} == {0o600}


def test_what_is_too_old_is_removed_and_what_others_put_there_stays(tmp_path, clock):
    folder = folder_of(tmp_path, clock)
    folder.append(b"one\n")
    (tmp_path / "samples/notes.txt").write_text("of others")
    clock.now_s += 2 * DAY_S
    folder.forget()
    assert len(files(tmp_path)) == 2
    clock.now_s += DAY_S
    folder.forget()
    assert set(files(tmp_path)) == {"notes.txt"}


def test_days_before_make_room_and_today_does_not_grow_beyond_it(tmp_path, clock):
    folder = folder_of(tmp_path, clock, max_bytes=10)
    folder.append(b"1234567\n")
    with pytest.raises(Full):
        folder.append(b"123\n")
    clock.now_s += DAY_S
    folder.append(b"123\n")
    assert files(tmp_path) == {"2027-01-02.jsonl": b"123\n"}


def test_a_link_in_its_place_is_not_followed(tmp_path, clock):
    folder = folder_of(tmp_path, clock)
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples/2027-01-01.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        folder.append(b"one\n")


FULL = """
import resource, signal, sys
from pathlib import Path
from encserve_gateway.samples.folder import SampleFolder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
folder = SampleFolder(Path(sys.argv[1]), max_bytes=1_000, days=2)
folder.append(b"1234567\\n")
try:
    folder.append(b"1234567\\n")
except OSError as error:
    print(error.errno)
"""


def test_where_the_disk_takes_half_a_line_none_is_left(tmp_path):
    """A limit of the size of files stands for the disk: the kernel writes what fits of a line, and says how much."""
    ran = subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "samples")], capture_output=True, text=True)
    assert ran.stdout.split() == [str(errno.ENOSPC)], ran.stderr
    (content,) = files(tmp_path).values()
    assert content == b"1234567\n"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 10, "only there"
