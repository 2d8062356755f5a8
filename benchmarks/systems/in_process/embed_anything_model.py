"""embed_anything: its model in Rust on weights (candle) or on a graph (ONNX Runtime), in sorted batches.

It takes models by their name on a hub and nothing else, so the checkpoint lies where it keeps what it has fetched.
"""

from __future__ import annotations

import os
from typing import Any

from benchmarks.systems.in_process.embedder import Library, in_batches


class System(Library):
    def __init__(self, hub: str, name: str, graph: str = "") -> None:
        os.environ |= {"HF_HOME": hub, "HF_HUB_CACHE": f"{hub}/hub"}
        import embed_anything
        from embed_anything import EmbeddingModel, TextEmbedConfig, WhichModel

        if graph:
            self._model: Any = EmbeddingModel.from_pretrained_onnx(
                WhichModel.Bert, hf_model_id=name, path_in_repo=graph
            )
        else:
            self._model = EmbeddingModel.from_pretrained_hf(model_id=name)
        self._embed: Any = embed_anything.embed_query
        self._config: Any = TextEmbedConfig(batch_size=32)

    def embed(self, texts: list[str], variant: str) -> Any:
        def batch(part: list[str]) -> list[Any]:
            return [each.embedding for each in self._embed(part, embedder=self._model, config=self._config)]

        return in_batches(texts, batch)
