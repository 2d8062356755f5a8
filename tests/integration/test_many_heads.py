"""Heads that share one encode step on a real Triton server, against the same checkpoints exported each by itself."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from export.shared_bodies import make_heads
from serving import serve_config

from encserve import Client
from encserve_export.config import ExportConfig
from encserve_export.pipeline import export, export_heads
from encserve_server.server import TritonServer

TEXTS = ["The harbour lights went out one by one.", "", "x", "lol 😂 that movie", "a much longer text than those " * 9]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many-heads")
    made = make_heads(folder, ["labels", "tags"])
    repository = folder / "repository"
    heads = {"tags": str(made["tags"])}
    export_heads(ExportConfig(checkpoint=str(made["labels"]), name="shared", heads=heads, repository=repository))
    for name, checkpoint in made.items():
        export(ExportConfig(checkpoint=str(checkpoint), name=f"{name}-alone", repository=repository))
    with (
        TritonServer(serve_config(repository, exit_timeout_s=5)) as server,
        Client(server.grpc_url, texts_per_request=1) as client,
    ):
        yield client


def test_each_head_answers_as_when_it_is_alone(client):
    with ThreadPoolExecutor(2) as threads:  # so that requests of both heads meet in one batch
        for _ in range(5):
            classified = threads.submit(client.classify, TEXTS, model="shared")
            tagged = threads.submit(client.classify_tokens, TEXTS, model="shared-tags", aggregation="none")
            labels, entities = classified.result(), tagged.result().entities
            alone = client.classify(TEXTS, model="labels-alone")
            assert labels.labels == alone.labels
            np.testing.assert_allclose(labels.scores, alone.scores, rtol=0, atol=1e-5)
            expected = client.classify_tokens(TEXTS, model="tags-alone", aggregation="none").entities
            assert any(expected)
            for ours, theirs in zip(entities, expected, strict=True):
                assert [(e.label, e.start, e.end) for e in ours] == [(e.label, e.start, e.end) for e in theirs]
                np.testing.assert_allclose([e.score for e in ours], [e.score for e in theirs], rtol=0, atol=1e-5)
