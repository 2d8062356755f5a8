"""infinity-emb, a server for embeddings, with its torch or its optimum engine."""

from __future__ import annotations

from pathlib import Path

from benchmarks.exported import CHECKPOINT, infinity_folder
from benchmarks.places import interpreter
from benchmarks.systems.http_peer import HttpPeer, HttpService
from encserve_server.launcher.ports import free_ports


class System(HttpPeer):
    def __init__(self, engine: str, precision: str) -> None:
        python = interpreter("infinity")
        folder = CHECKPOINT if engine == "torch" else infinity_folder(int8=precision == "int8")
        (port,) = free_ports(1)
        command: list[str | Path] = [
            *(python.with_name("infinity_emb"), "v2", "--model-id", folder, "--served-model-name", "minilm"),
            *("--engine", engine, "--device", "cpu", "--dtype", "float32", "--no-bettertransformer", "--no-compile"),
            *("--host", "127.0.0.1", "--port", str(port), "--batch-size", "32"),
        ]
        super().__init__(
            HttpService(
                command=command,
                url=f"http://127.0.0.1:{port}/embeddings",
                # base64 is its fastest form of an answer
                body=lambda texts: {"model": "minilm", "input": texts, "encoding_format": "base64"},
                rows=lambda answer: len(answer["data"]),
                environment="infinity",
                package="infinity-emb",
                settings={"DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0", "HF_HUB_OFFLINE": "1"},
            )
        )
