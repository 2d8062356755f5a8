"""Every task on one real Triton server, against what transformers and sentence-transformers give."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers
from export.conftest import make_checkpoint
from references import TEXTS, cut, spans_by_hand
from sentence_transformers import CrossEncoder, SparseEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sparse_encoder.modules import SpladePooling

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
TOKENS = transformers.AutoModelForTokenClassification
LABELS = {"id2label": {0: "calm", 1: "größer", 2: "spam"}, "label2id": {"calm": 0, "größer": 1, "spam": 2}}
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]
ENTITIES = {"id2label": dict(enumerate(TAGS)), "label2id": {tag: index for index, tag in enumerate(TAGS)}}
PIPELINES = {
    "embed-bert": {"family": "bert"},
    "embed-tokens-bert": {"family": "bert", "export": {"task": "token-embedding"}},
    "embed-sparse-bert": {"network": transformers.AutoModelForMaskedLM, "family": "bert"},
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
    "tokens-bert": {"network": TOKENS, "family": "bert", **ENTITIES},
    "tokens-roberta": {"network": TOKENS, "family": "roberta", **ENTITIES},
    "answer-bert": {"network": transformers.AutoModelForQuestionAnswering, "family": "bert"},
    "answer-roberta": {"network": transformers.AutoModelForQuestionAnswering, "family": "roberta"},
    "mask-bert": {"network": transformers.AutoModelForMaskedLM, "family": "bert"},
    "mask-roberta": {"network": transformers.AutoModelForMaskedLM, "family": "roberta"},
    "zero-shot-bert": {
        "network": SEQUENCES,
        "family": "bert",
        "id2label": {0: "contradiction", 1: "neutral", 2: "ENTAILMENT"},
        "label2id": {"contradiction": 0, "neutral": 1, "ENTAILMENT": 2},
        "export": {"task": "zero-shot-classification"},
    },
}
"""Pipeline -> how its checkpoint is made, and how it is exported."""


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """A checkpoint folder for each of `PIPELINES`."""
    folder = tmp_path_factory.mktemp("checkpoints")
    made = {
        name: make_checkpoint(folder / name, seed=seed, **{k: v for k, v in made.items() if k != "export"})
        for seed, (name, made) in enumerate(PIPELINES.items())
    }
    # A sparse encoder states its task in the files that sentence-transformers writes.
    network = Transformer(str(made["embed-sparse-bert"]), transformer_task="fill-mask")
    made["embed-sparse-bert"] = folder / "embed-sparse-bert-saved"
    SparseEncoder(modules=[network, SpladePooling("max")], device="cpu").save_pretrained(
        str(made["embed-sparse-bert"]), create_model_card=False
    )
    return made


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


def test_shorter_vectors(client):
    full = client.embed(TEXTS, model="embed-bert").vectors
    int8 = client.embed(TEXTS, model="embed-bert", output_dtype="int8").vectors
    assert (full.dtype, int8.dtype, int8.shape) == (np.float32, np.int8, full.shape)
    assert np.abs(int8 - full * 127 / np.abs(full).max(1, keepdims=True)).max() <= 0.5 + 1e-3
    bits = client.embed(TEXTS, model="embed-bert", output_dtype="binary", dimensions=16).vectors
    np.testing.assert_array_equal(bits, np.packbits(full[:, :16] > 0, axis=1))


def test_embed_tokens(client, reference):
    pipeline = reference("embed-tokens-bert", "feature-extraction")
    answer = client.embed_tokens(TEXTS, model="embed-tokens-bert")
    for text, vectors, offsets in zip(TEXTS, answer.vectors, answer.offsets, strict=True):
        expected = np.array(pipeline(text, tokenize_kwargs=cut(pipeline.tokenizer))[0])
        np.testing.assert_allclose(vectors, expected, **SCORES)
        places = pipeline.tokenizer(text, return_offsets_mapping=True, **cut(pipeline.tokenizer))["offset_mapping"]
        assert offsets[1:-1].tolist() == [list(place) for place in places[1:-1]]
        assert offsets[[0, -1]].tolist() == [[-1, -1], [-1, -1]]
    short = client.embed_tokens(TEXTS, model="embed-tokens-bert", dimensions=8, normalize=True)
    for vectors in short.vectors:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, **SCORES)
        assert vectors.shape[1] == 8


def test_embed_sparse(client, checkpoints):
    encoder = SparseEncoder(str(checkpoints["embed-sparse-bert"]), device="cpu")
    encoder.max_seq_length = 64
    expected = encoder.encode(TEXTS, convert_to_sparse_tensor=False).numpy()
    answer = client.embed_sparse(TEXTS, model="embed-sparse-bert")
    for ids, weights, row in zip(answer.token_ids, answer.weights, expected, strict=True):
        assert sorted(ids.tolist()) == np.flatnonzero(row).tolist()
        np.testing.assert_allclose(weights, row[ids], **SCORES)
        assert (np.diff(weights) <= 0).all()
    best = client.embed_sparse(TEXTS, model="embed-sparse-bert", top_k=3)
    assert [ids.tolist() for ids in best.token_ids] == [ids[:3].tolist() for ids in answer.token_ids]


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


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("aggregation", ["none", "simple", "first", "average", "max"])
@pytest.mark.parametrize("name", ["tokens-bert", "tokens-roberta"])
def test_classify_tokens(client, reference, name, aggregation):
    pipeline = reference(name, "token-classification", aggregation_strategy=aggregation)
    answer = client.classify_tokens(TEXTS, model=name, aggregation=aggregation)
    key = "entity" if aggregation == "none" else "entity_group"
    found = 0
    for text, entities in zip(TEXTS, answer.entities, strict=True):
        expected = pipeline(text)
        assert [(e.label, e.start, e.end) for e in entities] == [(e[key], e["start"], e["end"]) for e in expected]
        assert [e.text for e in entities] == [text[e["start"] : e["end"]] for e in expected]
        np.testing.assert_allclose([e.score for e in entities], [e["score"] for e in expected], **SCORES)
        found += len(entities)
    assert found > len(TEXTS)


def test_texts_without_any_entity(client):
    answer = client.classify_tokens(["", ""], model="tokens-bert")
    assert answer.entities == [[], []]
    assert answer.token_counts.tolist() == [2, 2]


@pytest.mark.parametrize("name", ["answer-bert", "answer-roberta"])
def test_answer(client, checkpoints, name):
    windows = 0
    for context in filter(None, TEXTS):
        spans, none, count = spans_by_hand(checkpoints[name], "Who is it?", context)
        windows += count
        answer = client.answer("Who is it?", context, model=name, top_k=5)
        (found,) = answer.spans
        ranked = sorted(spans.items(), key=lambda item: -item[1])[:5]
        assert [(span.start, span.end) for span in found] == [span for span, _ in ranked]
        assert [span.text for span in found] == [context[begin:end] for (begin, end), _ in ranked]
        np.testing.assert_allclose([span.score for span in found], [score for _, score in ranked], **SCORES)
        np.testing.assert_allclose(answer.no_answer_scores, [none], **SCORES)
        assert answer.dropped_counts.tolist() == [0]
    assert windows > len(TEXTS)


def test_no_answer_competes_where_it_may(client):
    context = "The harbour lights went out one by one."
    without = client.answer("Why?", context, model="answer-bert", top_k=100)
    with_ = client.answer("Why?", context, model="answer-bert", top_k=100, no_answer=True)
    (absent,) = [span for span in with_.spans[0] if not span.text]
    assert (absent.start, absent.end, absent.score) == (0, 0, without.no_answer_scores[0])
    assert [span for span in with_.spans[0] if span.text][:99] == without.spans[0][:99]


@pytest.mark.parametrize("name", ["mask-bert", "mask-roberta"])
def test_fill_mask(client, reference, name):
    pipeline = reference(name, "fill-mask")
    texts = [f"<mask> {text[:40]} <mask>." if index % 2 else f"{text[:40]}<mask>" for index, text in enumerate(TEXTS)]
    answer = client.fill_mask(texts, model=name, top_k=7)
    for text, masks in zip(texts, answer.masks, strict=True):
        expected = pipeline(text, top_k=7)
        expected = [expected] if isinstance(expected[0], dict) else expected
        assert len(masks) == len(expected) == text.count("<mask>")
        for fills, each in zip(masks, expected, strict=True):
            assert [(fill.token_id, fill.token) for fill in fills] == [(e["token"], e["token_str"]) for e in each]
            np.testing.assert_allclose([fill.score for fill in fills], [e["score"] for e in each], **SCORES)
    assert [len(fills) for fills in client.fill_mask(["<mask>"], model=name).masks[0]] == [5]


def score_by_hand(folder, text):
    """The sum over the tokens of a text of the logarithm of its probability where it alone is masked, and how many."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    ids = tokenizer(text, truncation=True, max_length=64)["input_ids"]
    total = 0.0
    for place in range(1, len(ids) - 1):
        masked = torch.tensor([[*ids[:place], tokenizer.mask_token_id, *ids[place + 1 :]]])
        with torch.inference_mode():
            total += float(model(input_ids=masked).logits[0, place].double().log_softmax(-1)[ids[place]])
    return total, len(ids) - 2


@pytest.mark.parametrize("name", ["mask-bert", "mask-roberta"])
def test_score(server, checkpoints, name):
    expected = [score_by_hand(checkpoints[name], text) for text in TEXTS]
    with Client(server.grpc_url) as client:
        answer = client.score(TEXTS, model=name)
        alone = client.score(TEXTS[1:2], model=name)
    np.testing.assert_allclose(answer.log_likelihoods, [total for total, _ in expected], rtol=1e-3)
    assert answer.scored_counts.tolist() == [count for _, count in expected]
    assert answer.token_counts.tolist() == [count + 2 for _, count in expected]
    assert answer.dropped_counts[-1] > 0
    assert (alone.log_likelihoods.tolist(), alone.scored_counts.tolist()) == ([0], [0])


@pytest.mark.parametrize(
    ("multi_label", "labels"), [(False, ["weather", "Geld 💰", "sport"]), (True, ["weather", "x"])]
)
def test_classify_zero_shot(client, reference, multi_label, labels):
    pipeline = reference("zero-shot-bert", "zero-shot-classification")
    texts = [text for text in TEXTS if text]
    for template in ("This example is {}.", "{}?"):
        chosen = {"multi_label": multi_label, "hypothesis_template": template}
        answer = client.classify_zero_shot(texts, labels, model="zero-shot-bert", **chosen)
        for text, found, scores in zip(texts, answer.labels, answer.scores, strict=True):
            expected = pipeline(text, candidate_labels=labels, **chosen)
            assert list(found) == expected["labels"]
            np.testing.assert_allclose(scores, expected["scores"], **SCORES)


LONG = "\r\n".join(TEXTS * 2)


def windows_by_hand(folder, network, *, overlap):
    """The windows of a long text, each run through transformers by itself: (first token, tokens, output)."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = network.from_pretrained(folder).eval()
    ids = tokenizer(LONG, add_special_tokens=False)["input_ids"]
    begin, room = 0, 62
    while True:
        window = ids[begin : begin + room]
        row = [tokenizer.cls_token_id, *window, tokenizer.sep_token_id]
        with torch.inference_mode():
            yield begin, len(window), model(input_ids=torch.tensor([row]))
        if begin + room >= len(ids):
            return
        begin += room - overlap


def test_embed_in_windows(client, checkpoints):
    windows = list(windows_by_hand(checkpoints["embed-bert"], transformers.AutoModel, overlap=8))
    vectors = np.stack([output.last_hidden_state[0].mean(0).numpy() for _, _, output in windows])
    expected = np.average(vectors, axis=0, weights=[size + 2 for _, size, _ in windows])
    answer = client.embed(["short", LONG, ""], model="embed-bert", long_text="chunk", overlap=8)
    np.testing.assert_allclose(answer.vectors[1], expected, **SCORES)
    assert answer.window_counts.tolist() == [1, len(windows), 1]
    assert answer.dropped_counts.tolist() == [0, 0, 0]
    alone = client.embed(["short"], model="embed-bert").vectors[0]
    np.testing.assert_allclose(answer.vectors[0], alone, rtol=0, atol=1e-5)


def test_classify_in_windows(client, checkpoints):
    windows = list(windows_by_hand(checkpoints["classify-bert"], SEQUENCES, overlap=20))
    logits = np.stack([output.logits[0].numpy() for _, _, output in windows])
    mean = torch.tensor(np.average(logits, axis=0, weights=[size + 2 for _, size, _ in windows]))
    answer = client.classify([LONG], model="classify-bert", long_text="chunk", overlap=20)
    np.testing.assert_allclose(answer.scores[0], sorted(mean.softmax(0).tolist(), reverse=True), **SCORES)
    assert answer.window_counts.tolist() == [len(windows)]


def test_classify_tokens_in_windows(client, checkpoints):
    folder, overlap = checkpoints["tokens-bert"], 11
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    places = tokenizer(LONG, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    tags = {}
    for begin, size, output in windows_by_hand(folder, TOKENS, overlap=overlap):
        first = 0 if begin == 0 else (overlap + 1) // 2
        for index in range(first, size):  # the next window takes over what is its own
            tags[begin + index] = TAGS[int(output.logits[0, 1 + index].argmax())]
    expected = [(tags[index], *places[index]) for index in range(len(places)) if tags[index] != "O"]
    (entities,) = client.classify_tokens(
        [LONG], model="tokens-bert", long_text="chunk", overlap=overlap, aggregation="none"
    ).entities
    assert [(entity.label, entity.start, entity.end) for entity in entities] == expected
    assert max(entity.end for entity in entities) > len(LONG) * 0.9


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda client: client.fill_mask(["a <mask>", "no mask"], model="mask-bert"), "text 1 has no <mask>"),
        (
            lambda client: client.fill_mask(["word " * 99 + "<mask>"], model="mask-bert"),
            "and 1 of its 1 <mask> with it",
        ),
        (lambda client: client.score(["a", "a <mask>"], model="mask-bert"), "has a <mask>; a text without"),
        (lambda client: client.answer("Why?", "", model="answer-bert"), "text_pair 0 is empty"),
        (lambda client: client.answer("Why " * 60, "Because.", model="answer-bert"), "leaves 0 of max_length 64"),
        (lambda client: client.answer("Why?", "x", model="answer-bert", top_k=101), "option top_k is 101"),
        (lambda client: client.classify_zero_shot(["x"], [], model="zero-shot-bert"), "labels is empty"),
        (lambda client: client.classify_zero_shot(["x"], ["a", "a"], model="zero-shot-bert"), "may be there once"),
        (lambda client: client.classify_zero_shot(["x"], ["word " * 99], model="zero-shot-bert"), "leaves no room"),
        (
            lambda client: client.classify_zero_shot(["x"], ["a"], hypothesis_template="b", model="zero-shot-bert"),
            "it must hold {} once",
        ),
        (lambda client: client.classify(["x"], model="tokens-bert"), "is for token-classification, classify needs"),
        (lambda client: client.rerank(3, ["x"], model="rank-bert"), "query is int"),
    ],
)
def test_bad_input(client, ask, message):
    with pytest.raises(InvalidInput, match=message):
        ask(client)


def test_a_wrong_request_does_not_fail_its_neighbours(server):
    texts = ["a <mask>", "no mask", "<mask> b"] * 8
    with Client(server.grpc_url, texts_per_request=1) as client, ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(client.fill_mask, [text], model="mask-bert") for text in texts]
        for text, call in zip(texts, calls, strict=True):
            if "<mask>" in text:
                assert len(call.result().masks) == 1
            else:
                assert isinstance(call.exception(), InvalidInput)


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
