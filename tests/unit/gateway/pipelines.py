"""Pipelines that answer by a rule, so that a test can tell whose vector it got and with which options."""

import zlib

import numpy as np

from encserve import AsyncClient, Retry
from encserve.testing import AsyncFakeTransport, fake_pipeline
from encserve_gateway.app import Gateway
from encserve_gateway.config import GatewayConfig

DIMENSIONS = 16
MAX_LENGTH = 8
EMBED = fake_pipeline(name="embed", dimensions=DIMENSIONS, max_length=MAX_LENGTH, prompt_names=("query", "document"))
PLAIN = fake_pipeline(name="plain", dimensions=DIMENSIONS, max_length=MAX_LENGTH)
RERANK = fake_pipeline(name="rerank", task="text-ranking", dimensions=1, pairs=True, max_length=MAX_LENGTH)
PIPELINES = (EMBED, PLAIN, RERANK)


def vector_of(text, *, normalize=True, dimensions=None, prompt_name=None, truncate=None):
    """The vector that the fake gives a text, by its words: float32 (dim,)."""
    words = text.split()
    kept = words[-(MAX_LENGTH - 2) :] if truncate == "start" else words[: MAX_LENGTH - 2]
    seed = zlib.crc32(" ".join([prompt_name or "", *kept]).encode())
    vector = np.random.default_rng(seed).normal(size=DIMENSIONS).astype(np.float32)[:dimensions]
    return vector / np.linalg.norm(vector) if normalize else vector * 3


def tokens_of(text):
    """Tokens that the fake says it saw and cut: a word each, and two special ones."""
    words = len(text.split())
    return min(words, MAX_LENGTH - 2) + 2, max(words - (MAX_LENGTH - 2), 0)


def answer(request):
    texts = [text.decode() for text in request.inputs["text"]]
    if request.model == "rerank":
        texts = [text.decode() for text in request.inputs["text_pair"]]
    counts = np.array([[tokens_of(text)[part] for text in texts] for part in (0, 1)], np.int32)
    answered = {"token_count": counts[:1], "dropped_count": counts[1:]}
    if request.model == "rerank":
        scores = np.array([len(text) for text in texts], np.float32)
        order = np.argsort(-scores, kind="stable")[: request.parameters.get("top_k")]
        return answered | {"index": order[None].astype(np.int32), "score": scores[order][None] / 100}
    options = {name: value for name, value in request.parameters.items() if name in ("normalize", "dimensions")}
    options |= {name: request.parameters.get(name) for name in ("prompt_name", "truncate")}
    vectors = [vector_of(text, **options) for text in texts]
    return answered | {"embedding": np.array(vectors, np.float32).reshape(1, len(texts), -1), **_windows(texts)}


def _windows(texts):
    return {"window_count": np.ones((1, len(texts)), np.int32)}


class Fake:
    """A gateway before fake pipelines; `requests` are those that reached them."""

    def __init__(self, function=answer, *, pipelines=PIPELINES, timeout_s=5, **config):
        self.requests = []
        self.function = function
        self.pipelines = pipelines
        self.timeout_s = timeout_s
        self.transport = None
        self.gateway = Gateway(self._connect, GatewayConfig(**config))

    def _connect(self):
        self.transport = AsyncFakeTransport(self._answer, pipelines=self.pipelines)
        retry = Retry(attempts=2, initial_s=0.001, maximum_s=0.001)
        return AsyncClient(transport=self.transport, retry=retry, timeout_s=self.timeout_s)

    def _answer(self, request):
        self.requests.append(request)
        return self.function(request)

    @property
    def texts(self):
        return [text.decode() for request in self.requests for text in request.inputs["text"]]

    def number(self, name, **labels):
        """A number of the gateway's metrics; 0 where nothing was counted."""
        return self.gateway.metrics.registry.get_sample_value(f"encserve_gateway_{name}", labels) or 0
