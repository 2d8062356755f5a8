"""sentence-transformers behind a server of a dozen lines, as most teams begin: FastAPI or LitServe, with batching."""

from __future__ import annotations

from benchmarks.exported import CHECKPOINT
from benchmarks.places import REPOSITORY_ROOT, interpreter
from benchmarks.systems.servers.http_peer import HttpPeer, HttpService
from encserve_server.launcher.ports import free_ports


class System(HttpPeer):
    def __init__(self, framework: str) -> None:
        (port,) = free_ports(1)
        script = REPOSITORY_ROOT / "benchmarks" / "servers" / f"{framework}_server.py"
        super().__init__(
            HttpService(
                command=[interpreter("servers"), script, CHECKPOINT, str(port)],
                url=f"http://127.0.0.1:{port}/embed",
                body=lambda texts: {"texts": texts},
                rows=lambda answer: answer["vectors"],
                environment="servers",
                package=framework,
                settings={"HF_HUB_OFFLINE": "1"},
            )
        )
