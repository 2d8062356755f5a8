"""`encserve verify` for every task: its requests together and alone, with their options, and answers that are lost."""

import zlib

import numpy as np
import pytest

from encserve import InferenceFailed, InferResponse
from encserve_export.certificate.figures.figure import missed_by_output
from encserve_export.certificate.limits import PARITY_LIMITS
from encserve_export.certificate.subject.final_answers import answers_of
from encserve_export.certificate.verification.asked_server import AskedSection, AskedServer
from encserve_export.certificate.verification.reference_file import Kept, Section
from encserve_export.checkpoint.tasks.table import TASKS
from encserve_export.config import Precision
from encserve_export.reference.messages import Asked

TEXTS = ["one", "two or three", "a text of more words", "x"]
LABELS = {"labels": ["weather", "money"], "hypothesis_template": "About {}."}


def number_of(text):
    return zlib.crc32(text) % 1000 / 1000


def vectors(texts, pairs):
    return {"embedding": np.array([[number_of(text), 1, 2] for text in texts], np.float32)}


def token_vectors(texts, pairs):
    places = np.array([[index, index + 1] for text in texts for index in range(len(text))], np.int32)
    rows = [[number_of(text), index] for text in texts for index in range(len(text))]
    return {"embedding": np.array(rows, np.float32), "offsets": places}


def weights(texts, pairs):
    ids = np.array([index for text in texts for index in range(len(text))], np.int32)
    numbers = np.array([1 + number_of(text) for text in texts for _ in text], np.float32)
    return {"token_id": ids, "weight": numbers, "term_count": np.array([len(text) for text in texts], np.int32)}


def three_outputs(texts, pairs):
    """The vectors have much larger numbers than the weights."""
    of_tokens = token_vectors(texts, pairs)
    return {
        **weights(texts, pairs),
        "embedding": 1_000 * vectors(texts, pairs)["embedding"],
        "token_embedding": of_tokens["embedding"],
        "offsets": of_tokens["offsets"],
        "vector_count": np.array([len(text) for text in texts], np.int32),
    }


def labels(texts, pairs):
    scores = np.array([[1 + number_of(text), 0.5] for text in texts], np.float32)
    return {"label": np.array([[b"yes", b"no"]] * len(texts), object), "score": scores}


def ranking(texts, pairs):
    scores = np.array([number_of(pair) for pair in pairs], np.float32)
    order = np.argsort(-scores)
    return {"index": order.astype(np.int32), "score": scores[order]}


def entities(texts, pairs):
    return {
        "label": np.array([b"PER"] * len(texts), object),
        "start": np.zeros(len(texts), np.int32),
        "end": np.array([len(text) for text in texts], np.int32),
        "entity": np.array(texts, object),
        "score": np.array([number_of(text) for text in texts], np.float32),
        "entity_count": np.ones(len(texts), np.int32),
    }


def spans(texts, pairs):
    return {
        "start": np.zeros((len(pairs), 1), np.int32),
        "end": np.array([[len(pair)] for pair in pairs], np.int32),
        "answer": np.array([[pair] for pair in pairs], object),
        "score": np.array([[number_of(pair)] for pair in pairs], np.float32),
        "no_answer_score": np.zeros(len(pairs), np.float32),
        "window_count": np.array([1 + (len(pair) > 10) for pair in pairs], np.int32),
    }


def fills(texts, pairs):
    masks = [text for text in texts for _ in range(1 + (len(text) > 10))]
    return {
        "score": np.array([[number_of(text)] for text in masks], np.float32),
        "token_id": np.array([[len(text)] for text in masks], np.int32),
        "token": np.array([[text] for text in masks], object),
        "mask_count": np.array([1 + (len(text) > 10) for text in texts], np.int32),
    }


SERVED = {
    "feature-extraction": vectors,
    "token-embedding": token_vectors,
    "sparse-embedding": weights,
    "hybrid-embedding": three_outputs,
    "text-classification": labels,
    "text-ranking": ranking,
    "token-classification": entities,
    "question-answering": spans,
    "fill-mask": fills,
    "zero-shot-classification": labels,
}
"""What a pipeline of each task gives for texts, and for second texts where it takes pairs."""


def asked_of(task):
    if task == "text-ranking":
        return Asked({"text": ["which?"], "text_pair": TEXTS})
    if task == "question-answering":
        return Asked({"text": ["why?"] * len(TEXTS), "text_pair": TEXTS})
    return Asked({"text": TEXTS}, LABELS if task == "zero-shot-classification" else {})


class Server:
    """Answers as the library does, but for what a test changes."""

    def __init__(self, task):
        self.task, self.requests = task, []
        self.change = lambda request, tensors: tensors

    def answer(self, request):
        texts, pairs = request.inputs["text"], request.inputs.get("text_pair", [])
        tensors = SERVED[self.task](texts, pairs)
        rows = pairs or texts
        # Of a context all tokens are counted here, and those of its longest window in a reference.
        sizes = [
            len(row) * (2 if tensors.get("window_count", [1] * len(rows))[i] > 1 else 1) for i, row in enumerate(rows)
        ]
        return {**tensors, "token_count": np.array(sizes, np.int32)}

    def infer(self, request, *, timeout_s):
        self.requests.append(request)
        tensors = self.change(request, self.answer(request))
        return InferResponse(model="name", version="1", tensors={name: (tensor,) for name, tensor in tensors.items()})


@pytest.fixture(params=sorted(TASKS))
def server(request):
    return Server(request.param)


def asked_section(server):
    """A section of one request of the server's task, with what the library says, asked of the server."""
    asked = asked_of(server.task)
    wire = type(
        "Wire", (), {"inputs": {name: [text.encode() for text in texts] for name, texts in asked.inputs.items()}}
    )
    kept = Kept(asked, list(answers_of(server.task, server.answer(wire))), 0)
    counts = [len(text) for text in asked.inputs.get("text_pair", asked.inputs["text"])]
    run = AskedSection(AskedServer(server, "name", "1", server.task, 1.0), Section([kept], counts))
    run.together()
    return run


def verified(server):
    """The figures and the complaints of a server's answers to one request of its task."""
    run = asked_section(server)
    run.alone()
    return {figure.name: figure for figure in run.figures(PARITY_LIMITS[Precision.FP32])}, run.complaints


def test_every_text_is_asked_alone_with_the_options_of_its_request(server):
    figures, complaints = verified(server)
    assert complaints == []
    assert all(figure.holds for figure in figures.values())
    assert figures["company_max_abs_diff"].texts == len(TEXTS)
    together, *alone = server.requests
    assert [max(map(len, each.inputs.values())) for each in alone] == [1] * len(TEXTS)
    assert all(each.parameters == together.parameters for each in alone)


def test_what_neighbours_change_is_found(server):
    number = "embedding" if server.task in ("feature-extraction", "token-embedding") else "score"
    number = "weight" if server.task == "sparse-embedding" else number

    def leak(request, tensors):
        if max(map(len, request.inputs.values())) > 1:
            return tensors
        added = np.linspace(0.02, 0.01, tensors[number].size, dtype=np.float32)  # scores stay in their order
        return {**tensors, number: tensors[number] + added.reshape(tensors[number].shape)}

    server.change = leak
    figures, _ = verified(server)
    assert not figures["company_max_abs_diff"].holds


def test_what_fails_alone_is_a_complaint(server):
    def fail(request, tensors):
        if max(map(len, request.inputs.values())) == 1:
            raise InferenceFailed("no memory")
        return tensors

    server.change = fail
    figures, complaints = verified(server)
    assert complaints == [f"text {n} alone, which was answered beside others: no memory" for n in range(len(TEXTS))]
    assert "company_max_abs_diff" not in figures


def test_answers_that_are_lost_are_a_complaint():
    server = Server("fill-mask")

    def lose(request, tensors):
        """The second mask of a text."""
        first = np.cumsum(tensors["mask_count"]) - tensors["mask_count"]
        kept = {name: tensors[name][first] for name in ("score", "token_id", "token")}
        return {**tensors, **kept, "mask_count": np.ones_like(tensors["mask_count"])}

    server.change = lose
    figures, complaints = verified(server)
    assert figures == {}
    assert complaints == ["the pipeline gives 1 answers for text 1, not 2"]


def test_texts_that_are_lost_are_a_complaint():
    server = Server("feature-extraction")
    server.change = lambda request, tensors: {**tensors, "embedding": tensors["embedding"][:-1]}
    _, complaints = verified(server)
    assert complaints == ["the pipeline answers for 3 texts from text 0 on, not for 4"]


def test_documents_that_are_lost_are_found():
    server = Server("text-ranking")
    server.change = lambda request, tensors: {**tensors, "index": tensors["index"][:3], "score": tensors["score"][:3]}
    figures, _ = verified(server)
    assert not figures["answers_max_abs_diff"].holds


def test_a_wrong_weight_is_found_beside_vectors_of_larger_numbers():
    server, limits = Server("hybrid-embedding"), PARITY_LIMITS[Precision.FP32]
    assert missed_by_output(asked_section(server).output_figures(limits), asked_section(server)) == []
    server.change = lambda request, tensors: {**tensors, "weight": np.float32(1.01) * tensors["weight"]}
    section = asked_section(server)
    assert all(figure.holds for figure in section.figures(limits)), "of all outputs together"
    (complaint,) = missed_by_output(section.output_figures(limits), section)
    assert complaint.startswith("of the output sparse, answers_max_abs_diff")


def heavier_alone(request, tensors):
    """All weights of a text are larger by the same share, so that their direction is the same."""
    return {**tensors, "weight": tensors["weight"] * np.float32(1 + 1e-4 * (len(request.inputs["text"]) == 1))}


def test_a_weight_that_neighbours_change_is_found_beside_vectors_of_larger_numbers():
    server, limits = Server("hybrid-embedding"), PARITY_LIMITS[Precision.FP32]

    section = asked_section(server)
    server.change = heavier_alone
    section.alone()
    assert all(figure.holds for figure in section.figures(limits)), "of all outputs together"
    (complaint,) = missed_by_output(section.output_figures(limits), section)
    assert complaint.startswith("of the output sparse, company_max_abs_diff")


def test_weights_that_neighbours_change_all_alike_are_found():
    server, limits = Server("sparse-embedding"), PARITY_LIMITS[Precision.FP32]

    section = asked_section(server)
    server.change = heavier_alone
    section.alone()
    (missed,) = [figure for figure in section.figures(limits) if not figure.holds]
    assert missed.name == "company_max_abs_diff"
