"""A LitServe server: it batches requests, and sentence-transformers encodes all their texts together.

python litserve_server.py CHECKPOINT PORT
"""

import sys
from typing import Any

import litserve
from sentence_transformers import SentenceTransformer


class Embedding(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self.model = SentenceTransformer(sys.argv[1], device="cpu")

    def decode_request(self, request: dict[str, Any]) -> Any:
        return request["texts"]

    def predict(self, batch: list[list[str]]) -> list[Any]:
        flat = [text for texts in batch for text in texts]
        vectors = self.model.encode(flat, batch_size=32, show_progress_bar=False, normalize_embeddings=True)
        rows, begin = [], 0
        for texts in batch:
            rows.append(vectors[begin : begin + len(texts)])
            begin += len(texts)
        return rows

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def batch(self, inputs: list[list[str]]) -> list[list[str]]:
        return inputs

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"vectors": output.tolist()}


if __name__ == "__main__":
    api = Embedding(max_batch_size=32, batch_timeout=0.005, api_path="/embed")
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=300).run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning"
    )
