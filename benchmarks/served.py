"""A server with the pipeline of the benchmarks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.exported import MODEL, pipeline
from encserve_server.config import ServeConfig
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.server import TritonServer
from encserve_server.steps.encode.recent_rows import SETTING as RECENT_ROWS


@contextmanager
def served(repository: Path | None = None) -> Iterator[TritonServer]:
    """Serve the pipeline `minilm` of `repository`, or a fresh export of this tree.

    Benchmarks send the same texts again and again, so the server must not remember their rows.
    """
    os.environ[RECENT_ROWS] = "0"
    with ExitStack() as cleanup:
        folder = repository or pipeline(Path(cleanup.enter_context(tempfile.TemporaryDirectory())))
        http_port, grpc_port, metrics_port = free_ports(3)
        config = ServeConfig(
            repository=folder, models=(MODEL,), http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port
        )
        yield cleanup.enter_context(TritonServer(config))


def resident_mib(server: TritonServer) -> float:
    """Memory that the server and its Python-backend processes hold now."""
    pids = [server.pid, *server.stub_pids()]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
