"""Two pipelines that say what a test of the cascade step wants, and how that step is asked."""

import json
import threading
import time
from types import SimpleNamespace

import numpy as np

ARGS = {"model_name": "both_cascade", "model_version": "3", "model_instance_name": "both_cascade_0_0"}


TOKEN = "secret"


SETTINGS = {
    "inputs": ["text"],
    "outputs": ["label", "score", "token_count"],
    "options": {
        "lane": {"kind": "choice", "allowed": ["interactive", "bulk"], "default": "interactive"},
        "cancel": {"kind": "id", "default": None},
        "top_k": {"kind": "whole", "default": None, "least": 1, "most": 2},
    },
    "limits": {"max_length": 8, "max_texts_per_request": 5, "max_tokens_per_request": 32, "max_bytes_per_text": 99},
    "queue": {"max_queued_texts": 8, "max_queued_bytes": 99},
    "labels": ["yes", "no"],
    "threshold": 0.75,
    "review_threshold": 0.5,
}


def failed(message, code="internal"):
    """A response with an error."""
    error = SimpleNamespace(message=lambda: message, code=lambda: code)
    return SimpleNamespace(has_error=lambda: True, error=lambda: error)


class Pipelines:
    """What the two pipelines say: of a text "0.3 0.9" the small one says that score, and then the large one that."""

    def __init__(self):
        self.asked = []
        self.errors = {}
        """Model -> the message of its error."""
        self.codes = {}
        """Model -> the code that comes with it; the Python backend of 2024 calls all of them "internal"."""
        self.ready = {("small", "1"), ("large", "1")}
        self.goes_on = threading.Event()
        self.goes_on.set()

    def ask(self, request):
        self.asked.append(request)
        if "cancel" in request.parameters:
            return failed("given up")
        assert self.goes_on.wait(60)
        message = self.errors.get(request.model_name)
        if request.model_version != -1 and (request.model_name, str(request.model_version)) not in self.ready:
            message = "is not ready"
        if message:
            return failed(message, self.codes.get(request.model_name, "internal"))
        texts = [text.decode().split() for text in request.inputs["text"][0]]
        scores = np.array([[float(text[request.model_name == "large"]), 0] for text in texts], np.float32)
        tensors = {
            "label": np.full(scores.shape, request.model_name.encode(), np.object_),
            "score": scores,
            "token_count": np.full(len(texts), len(request.model_name), np.int32),
        }
        outputs = [SimpleNamespace(name=lambda n=n: n, as_numpy=lambda v=v: v[None]) for n, v in tensors.items()]
        return SimpleNamespace(has_error=lambda: False, output_tensors=lambda: outputs)


def asked(triton, step, *texts, parameters=None, **about):
    """Put a request in; `answer_of` waits for what becomes of it."""
    raw = np.array([[text.encode() for text in texts]], np.object_)
    request = triton.Request(json.dumps(parameters or {}), text=raw, **about)
    (response,) = step.execute([request])
    if response is not None:
        request.answers.append(response)
    return request


def wait_until(happened):
    until_s = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < until_s
        time.sleep(0.001)


def answer_of(request):
    wait_until(lambda: request.answers)
    (answer,) = request.answers
    return answer


def counts(counter):
    return {tuple(series): count for series, count in counter._counts.items() if count}
