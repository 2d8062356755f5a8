"""The process in which the library answers for a checkpoint: started early, asked by every export of this process."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from multiprocessing import Pipe
from typing import cast

from encserve_export.errors import CertificateFailed
from encserve_export.processes import command_of
from encserve_export.reference import messages
from encserve_export.reference.messages import Answers, Asked, Failure, Library

TIMEOUT_S = 3600.0
"""How long an answer is waited for: some hundred texts may take a large network so long on a slow processor."""
_MODULE = messages.__name__.rpartition(".")[0]
_TOLD = 2_000
"""How many characters of what the process wrote last are told when it has died."""


class ReferenceProcess:
    """One process. What it answers does not depend on what it was asked before."""

    def __init__(self) -> None:
        """Start it; its imports go on while this process does something else."""
        self._connection, theirs = Pipe()
        self._written = tempfile.TemporaryFile()  # noqa: SIM115
        self._asking = threading.Lock()
        path = os.pathsep.join(folder for folder in sys.path if folder)
        self._process = subprocess.Popen(
            command_of(_MODULE, str(theirs.fileno())),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._written,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        )
        theirs.close()

    @property
    def runs(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, library: Library, requests: Sequence[Asked], *, timeout_s: float = TIMEOUT_S) -> Answers:
        """What the library says to `requests` about a checkpoint, in their order.

        Raises:
            CertificateFailed: the library refuses or fails, the process ended, or it did not answer in time; with what
                it said.
        """
        with self._asking:
            try:
                self._connection.send((library, list(requests)))
                if not self._connection.poll(timeout_s):
                    raise CertificateFailed(
                        f"the library did not answer for {library.folder.name} within {timeout_s:g} s"
                    )
                answers = cast("Answers | Failure", self._connection.recv())
            except (EOFError, OSError) as error:
                raise CertificateFailed(self._ending()) from error
            except BaseException:
                self.close()  # else what it answers now would be taken for the answer to the next question
                raise
        if isinstance(answers, Failure):
            raise CertificateFailed(f"the library itself fails with {library.folder.name}: {answers.reason}")
        return answers

    def _ending(self) -> str:
        """Why the process is gone, in words."""
        code = self._process.wait()
        self._written.seek(max(0, self._written.seek(0, os.SEEK_END) - _TOLD))
        said = self._written.read().decode(errors="replace").strip() or "nothing"
        return f"the process of the library ended with {code} before it answered; it wrote: {said}"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._connection.close()
        self._written.close()


_started: list[ReferenceProcess] = []
_starting = threading.Lock()


def reference_process() -> ReferenceProcess:
    """The process of this one: the same as long as it runs, whichever thread asks, and ended with this one."""
    with _starting:
        if not _started or not _started[-1].runs:
            _started[:] = [ReferenceProcess()]
            atexit.register(_started[-1].close)
        return _started[-1]
