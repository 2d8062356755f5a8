"""sentence-transformers in the caller's own process, with one of its backends.

Variants: "each request" encodes requests one after the other as they arrive; "all at once" has the whole list, which
the library sorts by length. Both pad each batch of 32 to its longest text. Runs in an environment of its own for the
ONNX and OpenVINO backends, so it imports nothing of encserve.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

from benchmarks.closed_loop import Done, Load, serially


class System:
    def __init__(self, checkpoint: str, backend: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from sentence_transformers import SentenceTransformer

            options: Any = {"device": "cpu", "backend": backend}
            if backend == "openvino":  # else it computes in bfloat16 where the processor has it
                options["model_kwargs"] = {"ov_config": {"INFERENCE_PRECISION_HINT": "f32"}}
            self._model: Any = SentenceTransformer(checkpoint, **options)
        self._computed = self._real = 0
        self._count_padding()
        self._encode(["a text", "another text"])

    def run(self, load: Load, variant: str) -> Done:
        self._computed = self._real = 0
        if variant == "each request" or (load.streams == 1 and len(load.requests[0]) == 1):
            return serially(load, self._encode)
        texts = [text for request in load.requests for text in request]
        done, begin = Done(), time.perf_counter()
        for first in range(0, len(texts), 1024):
            if time.perf_counter() - begin > load.cap_s:
                break
            part = texts[first : first + 1024]
            self._encode(part)
            done.texts += len(part)
        done.wall_s = time.perf_counter() - begin
        return done

    def _encode(self, texts: list[str]) -> Any:
        return self._model.encode(texts, batch_size=32, show_progress_bar=False, normalize_embeddings=True)

    def _count_padding(self) -> None:
        forward = self._model.forward

        def counting(features: Any, *arguments: Any, **options: Any) -> Any:
            self._computed += features["attention_mask"].numel()
            self._real += int(features["attention_mask"].sum())
            return forward(features, *arguments, **options)

        self._model.forward = counting

    def padding(self) -> float | None:
        return self._computed / self._real - 1 if self._real else None

    def close(self) -> None:
        print("done", file=sys.stderr)
