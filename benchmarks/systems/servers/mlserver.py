"""MLServer with its Hugging Face runtime, which answers feature-extraction with the vectors of all tokens."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.exported import CHECKPOINT
from benchmarks.places import interpreter
from benchmarks.systems.servers.http_peer import HttpPeer, HttpService
from encserve_server.launcher.ports import free_ports


class System(HttpPeer):
    def __init__(self) -> None:
        python = interpreter("mlserver")
        http_port, grpc_port, metrics_port = free_ports(3)
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        server = {
            "host": "127.0.0.1",
            "http_port": http_port,
            "grpc_port": grpc_port,
            "metrics_port": metrics_port,
            "parallel_workers": 0,
        }
        model = {
            "name": "minilm",
            "implementation": "mlserver_huggingface.HuggingFaceRuntime",
            "max_batch_size": 32,
            "max_batch_time": 0.005,
            "parameters": {"extra": {"task": "feature-extraction", "pretrained_model": str(CHECKPOINT)}},
        }
        (folder / "settings.json").write_text(json.dumps(server))
        (folder / "model-settings.json").write_text(json.dumps(model))
        super().__init__(
            HttpService(
                command=[python.with_name("mlserver"), "start", folder],
                url=f"http://127.0.0.1:{http_port}/v2/models/minilm/infer",
                body=lambda texts: {
                    "inputs": [
                        {
                            "name": "inputs",
                            "shape": [len(texts)],
                            "datatype": "BYTES",
                            "parameters": {"content_type": "str"},
                            "data": texts,
                        }
                    ]
                },
                rows=lambda answer: answer["outputs"][0]["data"],
                vector=_pooled,
                environment="mlserver",
                package="mlserver-huggingface",
                settings={"HF_HUB_OFFLINE": "1", "PATH": f"{python.parent}:/usr/bin:/bin"},
                folder=folder,
            )
        )

    def close(self) -> None:
        super().close()
        self._folder.cleanup()


def _pooled(row: Any) -> Sequence[float]:
    """The mean of a text's tokens, of length 1; they come as lists, or as JSON in a string."""
    tokens = np.array(json.loads(row) if isinstance(row, str) else row, np.float32)
    mean = tokens.reshape(-1, tokens.shape[-1]).mean(0)
    return (mean / np.linalg.norm(mean)).tolist()  # type: ignore[no-any-return]
