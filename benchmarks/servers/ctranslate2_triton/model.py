"""Texts [n, 1] to vectors [n, H]: all texts of the batch sorted by length, in parts of so many tokens."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from tokenizers import Tokenizer

BATCH_TOKENS = 1_024


class TritonPythonModel:
    def initialize(self, args: dict[str, Any]) -> None:
        parameters = json.loads(args["model_config"])["parameters"]
        packages, folder, kind = (parameters[name]["string_value"] for name in ("packages", "folder", "kind"))
        sys.path.append(packages)
        import ctranslate2

        self.encoder = ctranslate2.Encoder(folder, device="cpu", compute_type=kind, inter_threads=1, intra_threads=1)
        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(256)

    def execute(self, requests: list[Any]) -> list[Any]:
        texts = [pb_utils.get_input_tensor_by_name(request, "text").as_numpy()[:, 0] for request in requests]
        ids = [each.ids for each in self.tokenizer.encode_batch([text.decode() for part in texts for text in part])]
        rows = np.empty((len(ids), 384), np.float32)
        order = sorted(range(len(ids)), key=lambda index: -len(ids[index]))
        while order:
            count = max(1, BATCH_TOKENS // len(ids[order[0]]))
            group, order = order[:count], order[count:]
            rows[group] = self.vectors([ids[index] for index in group])
        parts = np.split(rows, np.cumsum([len(each) for each in texts])[:-1])
        return [pb_utils.InferenceResponse([pb_utils.Tensor("embedding", part)]) for part in parts]

    def vectors(self, ids: list[list[int]]) -> Any:
        hidden = np.array(self.encoder.forward_batch(ids).last_hidden_state)  # (n, L, H)
        lengths = np.array([len(each) for each in ids])
        mask = (np.arange(hidden.shape[1]) < lengths[:, None]).astype(np.float32)
        found = np.einsum("nlh,nl->nh", hidden, mask)
        return found / np.linalg.norm(found, axis=1, keepdims=True)
