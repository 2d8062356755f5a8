"""A server whose answers follow from the texts alone, and refuses some of them."""

import threading
import zlib

import numpy as np

from encserve import Client, InferenceFailed, InvalidInput
from encserve.testing import FakeTransport, fake_pipeline

REFUSED, NONFINITE = "refuse this", "this is not finite"


def vector_of(text):
    """Three numbers that only this text has."""
    return np.random.default_rng(zlib.crc32(text.encode())).standard_normal(3).astype(np.float32)


class Server:
    """Counts what it is asked, and keeps the texts."""

    def __init__(self, **changes):
        self.pipeline = fake_pipeline(name="fake", **changes)
        self.texts = []
        self._lock = threading.Lock()

    def __call__(self, request):
        texts = [text.decode() for text in request.inputs.get("text_pair", request.inputs["text"])]
        with self._lock:
            self.texts.extend(texts)
        if REFUSED in texts:
            raise InvalidInput("a text is refused, by its index")
        if NONFINITE in texts:
            raise InferenceFailed("a text gave NaN")
        counts = np.array([[len(text.split()) for text in texts]], np.int32)
        common = {"token_count": counts, "dropped_count": 0 * counts, "window_count": 0 * counts + 1}
        if self.pipeline.task == "text-ranking":
            scores = np.array([vector_of(text)[0] for text in texts], np.float32)
            order = np.argsort(-scores, kind="stable")
            return {**common, "index": order[None].astype(np.int32), "score": scores[order][None]}
        return {**common, "embedding": np.array([[vector_of(text) for text in texts]])}

    def client(self):
        return Client(transport=FakeTransport(self, pipelines=[self.pipeline]))
