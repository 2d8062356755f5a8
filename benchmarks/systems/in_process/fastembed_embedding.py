"""fastembed: its `TextEmbedding` in ONNX Runtime, with a model of ours that it is told of, in sorted batches."""

from __future__ import annotations

from typing import Any

from benchmarks.systems.in_process.embedder import Library, cores, in_batches


class System(Library):
    def __init__(self, folder: str) -> None:
        from fastembed import TextEmbedding
        from fastembed.common.model_description import ModelSource, PoolingType

        TextEmbedding.add_custom_model(
            model="minilm",
            pooling=PoolingType.MEAN,
            normalization=True,
            sources=ModelSource(hf="minilm"),
            dim=384,
            model_file="onnx/model_O3.onnx",
        )
        self._model: Any = TextEmbedding("minilm", specific_model_path=folder, threads=cores())

    def embed(self, texts: list[str], variant: str) -> Any:
        return in_batches(texts, lambda batch: list(self._model.embed(batch, batch_size=len(batch))))
