"""Padded token ids [n, L] to vectors [n, H]; the batcher brings requests of equal L together."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args: dict[str, Any]) -> None:
        graph = Path(__file__).parent / "model.onnx"
        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        ids, mask = (
            [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for request in requests]
            for name in ("input_ids", "attention_mask")
        )
        together, masks = np.concatenate(ids), np.concatenate(mask)
        feed = {"input_ids": together, "attention_mask": masks, "token_type_ids": np.zeros_like(together)}
        (hidden,) = self.session.run(None, feed)  # (n, L, H)
        weights = masks[..., None].astype(np.float32)
        vectors = (hidden * weights).sum(1) / weights.sum(1)
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        parts = np.split(vectors, np.cumsum([len(each) for each in ids])[:-1])
        return [pb_utils.InferenceResponse([pb_utils.Tensor("embedding", part)]) for part in parts]
