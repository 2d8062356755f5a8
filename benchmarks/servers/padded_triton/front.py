"""Texts [n, 1] to vectors [n, H]: each text goes to the encoder of the shortest bucket that holds it."""

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from tokenizers import Tokenizer


class TritonPythonModel:
    def initialize(self, args: dict[str, Any]) -> None:
        parameters = json.loads(args["model_config"])["parameters"]
        self.buckets = [int(each) for each in parameters["buckets"]["string_value"].split(",")]
        self.tokenizer = Tokenizer.from_file(str(Path(__file__).parent / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.buckets[-1])

    async def execute(self, requests: list[Any]) -> list[Any]:
        return list(await asyncio.gather(*map(self.answer, requests)))

    async def answer(self, request: Any) -> Any:
        texts = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()[:, 0]
        groups = defaultdict(list)
        for index, encoding in enumerate(self.tokenizer.encode_batch([text.decode() for text in texts])):
            groups[next(each for each in self.buckets if len(encoding.ids) <= each)].append((index, encoding.ids))
        rows = np.empty((len(texts), 384), np.float32)

        async def encode(bucket: int) -> None:
            ids = np.zeros((len(groups[bucket]), bucket), np.int64)
            mask = np.zeros_like(ids)
            for row, (_, each) in enumerate(groups[bucket]):
                ids[row, : len(each)], mask[row, : len(each)] = each, 1
            tensors = [pb_utils.Tensor("input_ids", ids), pb_utils.Tensor("attention_mask", mask)]
            asked = pb_utils.InferenceRequest(
                model_name=f"encode_{bucket}", requested_output_names=["embedding"], inputs=tensors
            )
            answer = await asked.async_exec()
            if answer.has_error():
                raise pb_utils.TritonModelException(answer.error().message())
            found = pb_utils.get_output_tensor_by_name(answer, "embedding").as_numpy()
            rows[[index for index, _ in groups[bucket]]] = found

        await asyncio.gather(*map(encode, list(groups)))
        return pb_utils.InferenceResponse([pb_utils.Tensor("embedding", rows)])
