"""Texts whose vectors are known, and the baselines of them."""

import argparse
import hashlib

import numpy as np

from encserve import Client
from encserve.testing import FakeTransport, fake_pipeline
from encserve_server import baseline

WIDTH = 48


PIPELINE = fake_pipeline(name="minilm", dimensions=WIDTH, version="1", certificate="c" * 64)


def vector_of(text):
    """Of each text another one, around one of two middles: of texts that begin with "other" and of all others."""
    draws = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
    middle = np.random.default_rng(text.startswith("other")).normal(size=WIDTH)
    return (middle + draws.normal(size=WIDTH)).astype(np.float32)


def client(*_, pipeline=PIPELINE):
    def answer(request):
        texts = [text.decode() for text in request.inputs["text"]]
        counts = np.ones((1, len(texts)), np.int32)
        vectors = np.array([[vector_of(text) for text in texts]])
        return {"token_count": counts, "dropped_count": counts * 0, "window_count": counts, "embedding": vectors}

    return Client(transport=FakeTransport(answer, pipelines=[pipeline]))


def frozen(tmp_path, texts, *words):
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(texts))
    parser = argparse.ArgumentParser()
    baseline.add_arguments(parser)
    given = ["minilm", "--texts", file, "--output", tmp_path / "baseline.json", *words]
    assert baseline.run(parser.parse_args([*map(str, given)])) == 0
    return tmp_path / "baseline.json"


TEXTS = [f"text {number}" for number in range(400)]
