"""OpenVINO's own pipeline of texts: `TextEmbeddingPipeline` of openvino-genai, held to FP32 where it is not int8.

int8 are the weights, by nncf; OpenVINO then quantises activations in groups as it computes. Texts go in as sorted
batches.
"""

from __future__ import annotations

from typing import Any

from benchmarks.systems.in_process.embedder import LONGEST, Library, in_batches


class System(Library):
    def __init__(self, folder: str) -> None:
        import openvino_genai

        config = openvino_genai.TextEmbeddingPipeline.Config()
        config.pooling_type = openvino_genai.TextEmbeddingPipeline.PoolingType.MEAN
        config.normalize = True
        config.max_length = LONGEST
        self._pipeline: Any = openvino_genai.TextEmbeddingPipeline(
            folder, "CPU", config, INFERENCE_PRECISION_HINT="f32", PERFORMANCE_HINT="LATENCY"
        )

    def embed(self, texts: list[str], variant: str) -> Any:
        return in_batches(texts, self._pipeline.embed_documents)
