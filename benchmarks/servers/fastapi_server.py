"""A plain FastAPI server: texts of concurrent requests go through `encode` together.

python fastapi_server.py CHECKPOINT PORT
"""

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

BATCH = 32
WAIT_S = 0.005


class Texts(BaseModel):
    texts: list[str]


def main() -> None:
    checkpoint, port = sys.argv[1:]
    model = SentenceTransformer(checkpoint, device="cpu")
    queue: asyncio.Queue[tuple[list[str], asyncio.Future[Any]]] = asyncio.Queue()

    async def batches() -> None:
        loop = asyncio.get_running_loop()
        while True:
            waiting = [await queue.get()]
            end = loop.time() + WAIT_S
            while sum(len(texts) for texts, _ in waiting) < BATCH:
                try:
                    waiting.append(await asyncio.wait_for(queue.get(), max(0.0, end - loop.time())))
                except asyncio.TimeoutError:
                    break
            flat = [text for texts, _ in waiting for text in texts]
            vectors = await asyncio.to_thread(
                model.encode, flat, batch_size=BATCH, show_progress_bar=False, normalize_embeddings=True
            )
            begin = 0
            for texts, future in waiting:
                future.set_result(vectors[begin : begin + len(texts)].tolist())
                begin += len(texts)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        task = asyncio.create_task(batches())
        yield
        task.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.post("/embed")
    async def embed(request: Texts) -> dict[str, Any]:
        future = asyncio.get_running_loop().create_future()
        await queue.put((request.texts, future))
        return {"vectors": await future}

    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
