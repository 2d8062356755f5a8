"""vLLM for CPUs: `LLM.embed` with its pooling runner, in FP32."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.systems.in_process.embedder import LONGEST, Library, cores


class System(Library):
    def __init__(self, checkpoint: str) -> None:
        os.environ |= {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": f"0-{cores() - 1}",
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "HF_HUB_OFFLINE": "1",
            "DO_NOT_TRACK": "1",
            "VLLM_NO_USAGE_STATS": "1",
        }
        from vllm import LLM

        self._model: Any = LLM(
            model=checkpoint, runner="pooling", dtype="float32", max_model_len=LONGEST, disable_log_stats=True
        )

    def embed(self, texts: list[str], variant: str) -> Any:
        answers = self._model.embed(texts, use_tqdm=False, tokenization_kwargs={"truncate_prompt_tokens": LONGEST})
        return [answer.outputs.embedding for answer in answers]
