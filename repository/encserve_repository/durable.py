"""Changes to files that a crash of the machine leaves either done or not done.

A file's content is on disk before it gets its name, and a folder's entry before anything is built on it.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_file(file: Path, content: bytes) -> None:
    """Write a file that nobody reads yet, down to the disk. Raises OSError."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move(source: Path, target: Path) -> None:
    """Give a file or folder another place on its file system, at once and down to the disk. Raises OSError."""
    source.rename(target)
    sync(target.parent)
    sync(source.parent)


def remove_file(file: Path) -> None:
    """Remove a file, down to the disk. Raises OSError."""
    file.unlink()
    sync(file.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in, where there are none, down to the disk. Raises OSError."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def sync(path: Path) -> None:
    """Bring a file's content, or a folder's entries, down to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Bring a folder and all that is in it down to the disk. Raises OSError."""
    for root, _, files in os.walk(folder, topdown=False):
        for name in files:
            sync(Path(root) / name)
        sync(Path(root))
