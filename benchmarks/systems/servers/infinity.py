"""infinity-emb, a server for embeddings, with its torch or its optimum engine."""

from __future__ import annotations

import base64
from array import array
from pathlib import Path

from benchmarks.exported import CHECKPOINT, infinity_folder
from benchmarks.places import interpreter
from benchmarks.systems.servers.http_peer import HttpPeer, HttpService
from encserve_server.launcher.ports import free_ports


class System(HttpPeer):
    def __init__(self, engine: str, graph: str = "") -> None:
        """With its torch engine, which avoids padding where torch's nested tensors do (BetterTransformer), or with its
        optimum engine and a graph that is optimised already."""
        python = interpreter("infinity")
        folder = CHECKPOINT if engine == "torch" else infinity_folder(graph)
        (port,) = free_ports(1)
        command: list[str | Path] = [
            *(python.with_name("infinity_emb"), "v2", "--model-id", folder, "--served-model-name", "minilm"),
            *("--engine", engine, "--device", "cpu", "--dtype", "float32", "--bettertransformer", "--no-compile"),
            *("--pooling-method", "mean"),  # of a graph it would take the first token's vector
            *("--host", "127.0.0.1", "--port", str(port), "--batch-size", "32"),
        ]
        super().__init__(
            HttpService(
                command=command,
                url=f"http://127.0.0.1:{port}/embeddings",
                # base64 is its fastest form of an answer
                body=lambda texts: {"model": "minilm", "input": texts, "encoding_format": "base64"},
                rows=lambda answer: [each["embedding"] for each in answer["data"]],
                vector=lambda row: array("f", base64.b64decode(row)),
                environment="infinity",
                package="infinity-emb",
                settings={
                    "DO_NOT_TRACK": "1",
                    "INFINITY_ANONYMOUS_USAGE_STATS": "0",
                    "HF_HUB_OFFLINE": "1",
                    "INFINITY_ONNX_DISABLE_OPTIMIZE": "1",
                },
            )
        )
