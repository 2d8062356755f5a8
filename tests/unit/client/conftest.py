import threading

import numpy as np
import pytest

from encserve import InferRequest

from .both_clients import Async, Sync


class Model:
    """A pipeline's function that can be checked: row i is the length of text i in bytes, three times."""

    def __init__(self) -> None:
        self.requests: list[InferRequest] = []
        self._lock = threading.Lock()

    def __call__(self, request: InferRequest) -> dict[str, np.ndarray]:
        with self._lock:
            self.requests.append(request)
        return answer([len(text) for text in request.inputs["text"]], int(request.parameters.get("dimensions", 3)))


def answer(lengths: list[int], dimensions: int = 3) -> dict[str, np.ndarray]:
    counts = np.array([lengths], np.int32)
    return {
        "embedding": np.repeat(counts[..., None], dimensions, axis=2).astype(np.float32),
        "token_count": np.minimum(counts, 256),
        "dropped_count": np.maximum(counts - 256, 0),
    }


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture(params=[Sync, Async])
def connect(request):
    """Makes a client around a function that answers requests."""
    return request.param
