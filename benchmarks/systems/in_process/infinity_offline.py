"""infinity-emb without its server: a file of texts to a file of vectors, by its engine in process.

    python -m benchmarks.systems.in_process.infinity_offline CHECKPOINT TEXTS.parquet VECTORS.parquet

Run by the Python of its own environment, which has neither encserve nor numpy below 2.
"""

from __future__ import annotations

import asyncio
import sys

import pyarrow as pa
import pyarrow.parquet as pq

BATCH_TEXTS = 32


async def embed(checkpoint: str, source: str, target: str) -> None:
    """Read, embed all texts at once, which the engine sorts by length, and write."""
    from infinity_emb import AsyncEmbeddingEngine, EngineArgs

    settings = EngineArgs(
        model_name_or_path=checkpoint,
        engine="torch",
        device="cpu",
        dtype="float32",
        bettertransformer=False,
        compile=False,
        model_warmup=False,
        batch_size=BATCH_TEXTS,
    )
    table = pq.read_table(source)
    engine = AsyncEmbeddingEngine.from_args(settings)
    async with engine:
        vectors, _ = await engine.embed(sentences=table.column("text").to_pylist())
    column = pa.array([vector.tolist() for vector in vectors], pa.list_(pa.float32()))
    pq.write_table(table.append_column("vector", column), target)


if __name__ == "__main__":
    asyncio.run(embed(*sys.argv[1:]))
