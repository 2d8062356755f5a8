"""A pipeline for vectors that answers as its checkpoint does, its repository, and the way to it."""

import hashlib
import json
from types import SimpleNamespace

import numpy as np
from passages import mixed_texts

from encserve.testing import FakeTransport, fake_pipeline
from encserve_export.certificate.subject.examination import Examination
from encserve_export.certificate.verification.reference_file import write_reference
from encserve_export.reference.messages import Answer, Answered, Asked
from encserve_export.verify import verify

WIDTH = 8
TEXTS = mixed_texts(12, longest_bytes=200)
LIMITS = {"max_length": 64, "max_texts_per_request": 5, "max_tokens_per_request": 128}


def tokens_of(text):
    return [1, *(2 + byte for byte in text.encode()[:62]), 0]


def vector_of(text):
    return np.sin(np.arange(1, WIDTH + 1) * float(np.sum(np.array(tokens_of(text)) % 97))).astype(np.float32)


class Server:
    """A pipeline that answers as its checkpoint does, but for what a test changes."""

    def __init__(self):
        self.error = lambda text: 0.0
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        texts = [text.decode() for text in request.inputs["text"]]
        assert len(texts) <= LIMITS["max_texts_per_request"]
        return {
            "embedding": np.array([[vector_of(text) + self.error(text) for text in texts]], np.float32),
            "token_count": np.array([[len(tokens_of(text)) for text in texts]], np.int32),
        }


def write_vectors(folder, *, change=lambda vector: vector):
    """The reference of a certificate about TEXTS, `change` made to the library's vectors."""
    task = SimpleNamespace(name="feature-extraction")
    requests = [Asked({"text": TEXTS[begin : begin + 4]}) for begin in range(0, len(TEXTS), 4)]
    answered = [
        Answered([(Answer("numbers", change(vector_of(text))),) for text in request.inputs["text"]], [])
        for request in requests
    ]
    counts = [len(tokens_of(text)) for text in TEXTS]
    examination = Examination(task=task, requests=requests, answered=answered, token_counts=counts)
    sections = {"corpus": examination}
    write_reference(folder, task.name, sections)


def write_repository(repository):
    """The manifest and the reference of version 1."""
    version = repository / "fake" / "1"
    version.mkdir(parents=True)
    write_vectors(version)
    figures = {name: {"measured": 0.0, "limit": limit} for name, limit in [("max_abs_diff", 1e-4)]}
    manifest = {
        "precision": "fp32",
        "limits": LIMITS,
        "parity": {"figures": figures},
        "files": {"fake/1/reference.npz": hashlib.sha256((version / "reference.npz").read_bytes()).hexdigest()},
    }
    (version / "manifest.json").write_text(json.dumps(manifest))


def served(folder, server, **changes):
    certificate = hashlib.sha256((folder / "fake/1/manifest.json").read_bytes()).hexdigest()
    names = ("fake", "fake_tokenize", "fake_encode")
    return FakeTransport(
        server, pipelines=[fake_pipeline(name=name, **{"certificate": certificate, **changes}) for name in names]
    )


def verification_of(folder, server, **changes):
    return verify(served(folder, server, **changes), "fake", folder, timeout_s=5)
