"""Every task on one real Triton server, against what transformers and sentence-transformers give."""

import itertools

import numpy as np
import pytest
import torch
import transformers
from export.conftest import make_checkpoint
from sentence_transformers import CrossEncoder

from encserve import Client, InvalidInput
from encserve_export.config import ExportConfig
from encserve_export.pipeline import export
from encserve_server.config import ServeConfig
from encserve_server.errors import UnsupportedHost
from encserve_server.host import check_host, read_host
from encserve_server.ports import free_ports
from encserve_server.server import TritonServer

try:
    check_host(read_host())
except UnsupportedHost as refused:
    pytest.skip(str(refused), allow_module_level=True)

SCORES = {"rtol": 0, "atol": 1e-4}
SEQUENCES = transformers.AutoModelForSequenceClassification
LABELS = {"id2label": {0: "calm", 1: "größer", 2: "spam"}, "label2id": {"calm": 0, "größer": 1, "spam": 2}}
PIPELINES = {
    "classify-bert": {"network": SEQUENCES, "family": "bert", **LABELS},
    "classify-roberta": {
        "network": SEQUENCES,
        "family": "roberta",
        "problem_type": "multi_label_classification",
        **LABELS,
    },
    "regress-bert": {"network": SEQUENCES, "family": "bert", "problem_type": "regression", "num_labels": 1},
    "pairs-bert": {"network": SEQUENCES, "family": "bert", **LABELS, "export": {"pairs": True}},
    "rank-bert": {"network": SEQUENCES, "family": "bert", "num_labels": 1, "export": {"task": "text-ranking"}},
    "rank-roberta": {
        "network": SEQUENCES,
        "family": "roberta",
        "num_labels": 1,
        "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "6.2.0"},
    },
}
"""Pipeline -> how its checkpoint is made, and how it is exported."""

TEXTS = [
    "The harbour lights went out one by one.",
    "",
    "lol that movie was sooo bad 😂😂 don't waste ur money...",
    "Le chat de la voisine dort toute la journée, cafe\u0301 \u0301x.",
    "国際宇宙ステーションは地球を約90分で一周し",
    "مكتبة المدينة مفتوحة من التاسعة صباحا",
    "one line\r\nanother\nand\ta third\r last",
    "x",
    "Patients received 2.5 mg/kg of the compound twice daily for 14 days (n = 48, p < 0.001). " * 4,
]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """A checkpoint folder for each of `PIPELINES`."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {
        name: make_checkpoint(folder / name, seed=seed, **{k: v for k, v in made.items() if k != "export"})
        for seed, (name, made) in enumerate(PIPELINES.items())
    }


@pytest.fixture(scope="session")
def server(checkpoints, tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    for name, made in PIPELINES.items():
        config = {"checkpoint": str(checkpoints[name]), "name": name, "repository": repository}
        export(ExportConfig(**config, **made.get("export", {})))
    http_port, grpc_port, metrics_port = free_ports(3)
    config = ServeConfig(
        repository=repository,
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        exit_timeout_s=5,
    )
    with TritonServer(config) as server:
        yield server


@pytest.fixture(scope="session")
def client(server):
    with Client(server.grpc_url, texts_per_request=4) as client:
        yield client


@pytest.fixture
def reference(checkpoints):
    """The pipeline of transformers for one of ours."""

    def make(name, task, **options):
        torch.set_num_threads(1)
        return transformers.pipeline(task, str(checkpoints[name]), device="cpu", **options)

    return make


def cut(tokenizer):
    return {"truncation": True, "max_length": tokenizer.model_max_length}


@pytest.mark.parametrize("name", ["classify-bert", "classify-roberta", "regress-bert"])
def test_classify(client, reference, name):
    pipeline = reference(name, "text-classification", top_k=None)
    answer = client.classify(TEXTS, model=name)
    for text, labels, scores in zip(TEXTS, answer.labels, answer.scores, strict=True):
        expected = pipeline({"text": text}, **cut(pipeline.tokenizer))
        assert list(labels) == [each["label"] for each in expected]
        np.testing.assert_allclose(scores, [each["score"] for each in expected], **SCORES)
    assert answer.dropped_counts[-1] > 0


def test_the_best_labels_alone(client):
    everything = client.classify(TEXTS, model="classify-bert")
    best = client.classify(TEXTS, model="classify-bert", top_k=1)
    assert best.labels == [labels[:1] for labels in everything.labels]
    np.testing.assert_array_equal(best.scores, everything.scores[:, :1])
    with pytest.raises(InvalidInput, match="option top_k is 4; it must be a whole number from 1 to 3"):
        client.classify(TEXTS, model="classify-bert", top_k=4)


def test_classify_pairs(client, reference):
    pipeline = reference("pairs-bert", "text-classification", top_k=None)
    # The pipeline takes an empty second text for none at all, as the tokenizer does unless it gets lists.
    pairs = list(itertools.product(TEXTS, filter(None, TEXTS)))
    answer = client.classify([a for a, _ in pairs], text_pairs=[b for _, b in pairs], model="pairs-bert")
    for (text, pair), labels, scores in zip(pairs, answer.labels, answer.scores, strict=True):
        expected = pipeline({"text": text, "text_pair": pair}, **cut(pipeline.tokenizer))
        assert list(labels) == [each["label"] for each in expected]
        np.testing.assert_allclose(scores, [each["score"] for each in expected], **SCORES)


def test_pairs_where_single_texts_belong_and_the_other_way_round(client):
    with pytest.raises(InvalidInput, match="'pairs-bert' wants a second text for each"):
        client.classify(TEXTS, model="pairs-bert")
    with pytest.raises(InvalidInput, match="'classify-bert' takes single texts, no pairs"):
        client.classify(TEXTS, text_pairs=TEXTS, model="classify-bert")


@pytest.mark.parametrize("name", ["rank-bert", "rank-roberta"])
def test_rerank(client, checkpoints, name):
    encoder = CrossEncoder(str(checkpoints[name]), device="cpu", max_length=64)
    for query in ("storm in the harbour", "", TEXTS[-1]):
        expected = encoder.rank(query, TEXTS)
        answer = client.rerank(query, TEXTS, model=name)
        assert answer.indices.tolist() == [each["corpus_id"] for each in expected]
        np.testing.assert_allclose(answer.scores, [each["score"] for each in expected], **SCORES)
        best = client.rerank(query, TEXTS, model=name, top_k=2)
        np.testing.assert_array_equal(best.indices, answer.indices[:2])
        np.testing.assert_array_equal(best.scores, answer.scores[:2])
        assert len(best) == len(TEXTS)


def test_an_answer_does_not_depend_on_its_neighbours(server):
    with Client(server.grpc_url, texts_per_request=64) as client:
        together = client.classify(TEXTS, model="classify-bert")
        turned = client.classify(TEXTS[::-1], model="classify-bert")
        for index, text in enumerate(TEXTS):
            alone = client.classify([text], model="classify-bert")
            for labels, scores in (
                (together.labels[index], together.scores[index]),
                (turned.labels[-1 - index], turned.scores[-1 - index]),
            ):
                assert labels == alone.labels[0]
                np.testing.assert_allclose(scores, alone.scores[0], rtol=0, atol=1e-5)
