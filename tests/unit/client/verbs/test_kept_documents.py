"""`rerank` of documents whose vectors of tokens were kept."""

from base64 import b64decode, b64encode
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from unit.client.verbs.conftest import texts_of
from unit.client.verbs.test_late_interaction import LATE as OF_TEXTS
from unit.client.verbs.test_max_sim import embeddings

from encserve import Client, InvalidInput
from encserve._candidate import Candidate
from encserve.testing import FakeTransport, fake_pipeline

LATE = replace(
    OF_TEXTS, dimensions=8, option_defaults={**OF_TEXTS.option_defaults, "document_vectors": None, "dimensions": None}
)


def ranks(request):
    """A document's score is the number of its bytes."""
    sizes = np.array([len(b64decode(text)) for text in request.inputs["text"][1:]], np.float32)
    order = np.argsort(-sizes, kind="stable")[: request.parameters.get("top_k")]
    counts = {"token_count": np.array([[5]], np.int32), "dropped_count": np.array([[1]], np.int32)}
    return {**counts, "index": order[None].astype(np.int32), "score": sizes[order][None]}


@pytest.mark.parametrize(
    ("dtype", "columns", "kind"),
    [
        (np.float32, 8, "float32"),
        (">f4", 8, "float32"),
        (np.float16, 8, "float16"),
        (np.int8, 8, "int8"),
        (np.uint8, 1, "binary"),
    ],
)
def test_arrays_say_their_type(ask, dtype, columns, kind):
    documents = [np.arange(count * columns).reshape(count, columns).astype(dtype) for count in (2, 3, 1)]
    result, requests = ask(LATE, ranks, "rerank", "q", documents, top_k=2)
    assert result.indices.tolist() == [1, 0]
    assert result.token_counts.tolist() == [5, 5, 5], "those of the query"
    assert result.dropped_counts.tolist() == [1, 1, 1]
    assert [request.parameters for request in requests] == [{"rank": True, "document_vectors": kind, "top_k": 2}] * 2
    sent = [text for request in requests for text in texts_of(request)[1:]]
    for text, own in zip(sent, documents, strict=True):
        assert b64decode(text) == own.astype(own.dtype.newbyteorder("<")).tobytes()


def test_base64_goes_as_it_is(ask):
    text = b64encode(bytes(range(24))).decode()
    result, requests = ask(LATE, ranks, "rerank", "q", [text, text * 2], document_vectors="int8")
    assert result.scores.tolist() == [48, 24]
    assert texts_of(requests[0]) == ["q", text, text * 2]


def test_what_embed_tokens_gave_is_held_to_its_version(ask):
    kept = embeddings([[1, 0]] * 3, [[0, 1]] * 2)
    kept = replace(kept, vectors=[np.repeat(own, 4, axis=1) for own in kept.vectors], model="fake", version="1")
    result, _ = ask(LATE, ranks, "rerank", "q", kept)
    assert result.indices.tolist() == [0, 1]
    for other in (replace(kept, version="7"), replace(kept, model="colbert")):
        with pytest.raises(InvalidInput, match=f"by {other.model} version {other.version}, and fake version 1 answers"):
            ask(LATE, ranks, "rerank", "q", other)
    result, requests = ask(LATE, ranks, "rerank", "q", replace(embeddings(version=""), model=""))
    assert (len(result), requests) == (0, [])


ONE = np.zeros((1, 8), np.float32)


@pytest.mark.parametrize("documents", [[ONE], [b64encode(ONE.tobytes()).decode()]])
def test_a_candidate_is_not_drawn_by_chance(documents):
    """Its vectors are others. Here it answers all that are drawn."""
    candidate = Candidate(version="2", share=1.0)
    served = [replace(LATE, candidate=candidate), replace(LATE, name="fake_candidate", version="2")]
    with Client(transport=FakeTransport(ranks, pipelines=served)) as client:
        ask = partial(client.rerank, "q", documents, model="fake", document_vectors="float32")
        assert ask().version == "1"
        assert ask(version="candidate").version == ask(caller="somebody").version == "2"


@pytest.mark.parametrize(
    ("documents", "options", "message"),
    [
        ([ONE, "text"], {}, "document 1 is a str beside arrays"),
        ([ONE, np.zeros(8, np.float32)], {}, r"document 1 is an array of shape \(8,\)"),
        ([ONE[:0]], {}, r"document 0 is an array of shape \(0, 8\)"),
        ([ONE.astype(float)], {}, "document 0 has vectors of float64, expected float32, float16, int8, uint8"),
        ([ONE, ONE[:, :4]], {}, "document 1 has vectors of 4 columns, float32, and document 0 of 8, float32"),
        ([ONE, ONE.astype(np.int8)], {}, "document 1 has vectors of 8 columns, int8"),
        ([ONE[:, :4]], {}, "have vectors of 4 columns, and 'fake' compares those of 8: dimensions says"),
        ([ONE], {"dimensions": 4}, "have vectors of 8 columns, and 'fake' compares those of 4"),
        ([ONE], {"document_vectors": "int8"}, "document_vectors is 'int8', and the documents are arrays of float32"),
        (["AAAA"], {"document_vectors": "float64"}, "document_vectors is 'float64', expected one of 'float32'"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_sent(ask, documents, options, message):
    with pytest.raises(InvalidInput, match=message):
        ask(LATE, ranks, "rerank", "q", documents, **options)


@pytest.mark.parametrize("pipeline", [OF_TEXTS, fake_pipeline(task="text-ranking", pairs=True)])
def test_pipelines_that_take_texts_alone(ask, pipeline):
    for documents, options in (([ONE], {}), (["AAAA"], {"document_vectors": "int8"})):
        with pytest.raises(InvalidInput, match=f"ranks texts of documents, .* it is for {pipeline.task}"):
            ask(pipeline, ranks, "rerank", "q", documents, **options)
