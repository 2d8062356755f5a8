"""What a running server keeps outside the repository, and the removal of what a killed one left behind.

A server owns three things, named by one stem `encserve_<pid of the launcher>_<random>`:

    /dev/shm/<stem>.lock     an flock, held by the launcher and by every process of its server
    /dev/shm/<stem>_*        the shared-memory regions of the Python backend
    <temporary>/<stem>/      the backend folder of a server out of the wheel, the secret of its administration, the
                             pages of its steps, and with --live-code the repository of links

The kernel frees the lock when the last of these processes ends, however it ends. So a free lock means that everything
under its stem is stale; unlike a process id, that stays true across reused ids and containers that share /dev/shm.
"""

import fcntl
import os
import re
import secrets
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from encserve_server.host.locate import Wheel

SHARED_MEMORY = Path("/dev/shm")
LOCK_NAME = re.compile(r"(encserve_\d+_[0-9a-f]{8})\.lock")


@dataclass(frozen=True, kw_only=True)
class RuntimeFolder:
    """The folder and the shared memory of one server, outside the repository."""

    stem: str
    lock_fd: int
    """The descriptor of the lock, which the server inherits."""

    @property
    def path(self) -> Path:
        """Return the path of a folder of this server alone."""
        return Path(tempfile.gettempdir()) / self.stem

    @property
    def shm_prefix(self) -> str:
        """Return the beginning of the names of this server's shared-memory regions."""
        return f"{self.stem}_"

    def link_backends(self, wheel: Wheel) -> Path:
        """Return a folder that joins the wheel's Python backend with the stub of the running Python, as Triton wants
        them.

        Links, not copies: they also work where the temporary folder is mounted noexec.
        """
        python_backend = self.path / "backends" / "python"
        python_backend.mkdir(parents=True)
        stub = wheel.stub_folder / "{}.{}".format(*sys.version_info) / "triton_python_backend_stub"
        for file in (*(wheel.backend_folder / "python").iterdir(), stub):
            if file.is_file():
                (python_backend / file.name).symlink_to(file)
        return python_backend.parent

    def keep_admin_secret(self, secret: str, *, grpc_port: int) -> None:
        """Write the secret to a file that only this user can read; see `encserve.local_admin_secret`."""
        path = self.path / f"admin_secret_{grpc_port}"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secret)

    def remove(self) -> None:
        """Remove everything under the stem, the lock last: what cannot be removed is left to the next start's sweep."""
        try:
            shutil.rmtree(self.path, ignore_errors=True)
            for region in SHARED_MEMORY.glob(f"{self.shm_prefix}*"):
                region.unlink(missing_ok=True)
            (SHARED_MEMORY / f"{self.stem}.lock").unlink(missing_ok=True)
        finally:
            os.close(self.lock_fd)


def create_runtime_folder() -> RuntimeFolder:
    """Return a new runtime folder, with a stem and a lock of its own."""
    while True:
        stem = f"encserve_{os.getpid()}_{secrets.token_hex(4)}"
        lock_fd = os.open(SHARED_MEMORY / f"{stem}.lock", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        if os.fstat(lock_fd).st_nlink > 0:
            break
        os.close(lock_fd)  # removed by another launcher's sweep between the two lines above
    folder = RuntimeFolder(stem=stem, lock_fd=lock_fd)
    try:
        folder.path.mkdir(mode=0o700)
    except BaseException:
        folder.remove()
        raise
    return folder


def sweep_stale() -> tuple[str, ...]:
    """Remove what servers of this user left that ended without their launcher. Returns the stems removed."""
    removed = []
    for lock in SHARED_MEMORY.glob("encserve_*.lock"):
        name = LOCK_NAME.fullmatch(lock.name)
        if name is None or lock.is_symlink():
            continue
        with suppress(OSError):  # of another user, still locked, or swept by another launcher meanwhile
            lock_fd = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock_fd)
                raise
            RuntimeFolder(stem=name[1], lock_fd=lock_fd).remove()
            removed.append(name[1])
    return tuple(removed)
