"""sentence-transformers, with one of its backends in one precision.

Calls of several texts it sorts by length, and pads batches of 32 to their longest text.
"""

from __future__ import annotations

import warnings
from typing import Any

from benchmarks.systems.in_process.embedder import Library


class System(Library):
    def __init__(self, checkpoint: str, backend: Any, file: str = "", hint: str = "") -> None:
        """`file` is the graph in the folder; `hint` the precision that OpenVINO is held to, for it would take bfloat16
        where the processor has it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from sentence_transformers import SentenceTransformer

            settings: dict[str, Any] = {"file_name": file} if file else {}
            if hint:
                settings["ov_config"] = {"INFERENCE_PRECISION_HINT": hint}
            self._model: Any = SentenceTransformer(checkpoint, device="cpu", backend=backend, model_kwargs=settings)
        self._computed = self._real = 0
        self._count_padding()
        self.embed(["a text", "another text"], "")

    def embed(self, texts: list[str], variant: str) -> Any:
        return self._model.encode(texts, batch_size=32, show_progress_bar=False, normalize_embeddings=True)

    def _count_padding(self) -> None:
        forward = self._model.forward

        def counting(features: Any, *arguments: Any, **options: Any) -> Any:
            self._computed += features["attention_mask"].numel()
            self._real += int(features["attention_mask"].sum())
            return forward(features, *arguments, **options)

        self._model.forward = counting

    def padding(self) -> float | None:
        computed, real, self._computed, self._real = self._computed, self._real, 0, 0
        return computed / real - 1 if real else None
