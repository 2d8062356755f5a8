"""The classes for Ray Data, called as its workers call them, without Ray."""

import asyncio
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from encserve import ContractError, InferenceFailed, InvalidInput, TransportError
from encserve.ray import ServerPredictor
from encserve.testing import AsyncFakeTransport
from encserve_bulk.questions import PROBE

from .fake_server import NONFINITE, REFUSED, Server, vector_of


def answered(table, server, **settings):
    """The table with its answers, as one worker gives them."""
    transport = partial(AsyncFakeTransport, server, pipelines=[server.pipeline])
    predictor = ServerPredictor("fake", transport=transport, **settings)
    return asyncio.run(predictor(table))


def test_a_batch_keeps_its_columns_and_gets_those_of_the_answers():
    texts = [f"{'long ' * (index % 5)}text {index}" for index in range(40)]
    server = Server()
    table = answered(pa.table({"id": range(40), "body": texts}), server, text="body")
    assert table.column_names == ["id", "body", "vector", "token_count", "dropped_count", "error", "version"]
    for row, text in zip(table.to_pylist(), texts, strict=True):
        assert np.array_equal(np.float32(row["vector"]), vector_of(text))
        assert (row["body"], row["token_count"], row["error"], row["version"]) == (text, len(text.split()), None, "1")


def test_a_text_that_cannot_be_answered_is_a_row_with_its_error_and_harms_no_other():
    server = Server(max_bytes_per_text=30)
    texts = ["good", REFUSED, None, NONFINITE, "x" * 40, "fine"]
    rows = answered(pa.table({"text": texts}), server).to_pylist()
    assert [row["error"] is None for row in rows] == [True, False, False, False, False, True]
    assert rows[2]["error"] == "the text is missing, or no string"


def test_texts_go_by_length_and_a_repeated_one_once():
    server = Server()
    first, _, third = answered(pa.table({"text": ["a longer text", "b", "a longer text"]}), server).to_pylist()
    assert server.texts == [PROBE, "b", "a longer text"]
    assert first["vector"] == third["vector"]


def test_requests_go_in_bulk():
    lanes = set()
    server = Server(option_defaults={"lane": "interactive"})

    def answer(request):
        lanes.add(request.parameters.get("lane"))
        return server(request)

    answer.pipeline = server.pipeline
    answered(pa.table({"text": ["a"]}), answer)
    assert lanes == {"bulk"}


def test_documents_are_scored_for_their_queries():
    table = pa.table({"text": ["a", "b", "c"], "query": ["x", "y", None]})
    rows = answered(table, Server(task="text-ranking", pairs=True), verb="rerank", query="query").to_pylist()
    assert [row["score"] for row in rows[:2]] == [vector_of("a")[0], vector_of("b")[0]]
    assert rows[2]["error"] == "the query is missing, or no string"


def test_a_server_that_fails_at_any_text_ends_the_job():
    def fails(request):
        raise InferenceFailed("out of order")

    fails.pipeline = Server().pipeline
    with pytest.raises(InferenceFailed, match="out of order"):
        answered(pa.table({"text": ["a"]}), fails)


def test_a_server_that_is_down_ends_the_job():
    def fails(request):
        raise TransportError("nobody there")

    fails.pipeline = Server().pipeline
    with pytest.raises(TransportError):
        answered(pa.table({"text": ["a"]}), fails)


@pytest.mark.parametrize("version", ["2", 2])
def test_another_version_than_the_wanted_one_is_refused(version):
    with pytest.raises(ContractError, match="version 1 of 'fake' answers, and 2 is wanted"):
        answered(pa.table({"text": ["a"]}), Server(), version=version)


@pytest.mark.parametrize("task", ["feature-extraction", "text-ranking"])
def test_an_option_that_the_pipeline_refuses_ends_the_job_at_once(task):
    asked = []

    def refuses(request):
        asked.append(request)
        raise InvalidInput("prompt_name is 'unknown'")

    refuses.pipeline = Server(task=task, pairs=task == "text-ranking").pipeline
    settings = {"verb": "rerank", "query": "text"} if task == "text-ranking" else {}
    with pytest.raises(InvalidInput, match="prompt_name is 'unknown'"):
        answered(pa.table({"text": ["a", "b", "c"]}), refuses, options={"prompt_name": "unknown"}, **settings)
    assert len(asked) == 1


def test_an_empty_batch_comes_back_as_it_is():
    assert answered(pa.table({}), Server()) == pa.table({})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"verb": "translate"}, "verb is 'translate', expected one of embed"),
        ({"verb": "rerank"}, "query is None: rerank wants the column of the queries"),
        ({"query": "text"}, "query is 'text': rerank wants the column"),
        ({"options": {"priority": "bulk"}}, "options holds priority, which the predictor says itself"),
        ({"options": {"dimensions": 0}}, "dimensions is 0"),
        ({"options": {"dimension": 8}}, "options holds dimension, which embed does not take"),
        (
            {"verb": "rerank", "query": "text", "options": {"top_k": 3}},
            "options holds top_k, which rerank",
        ),
        ({"text": "words"}, "the dataset has no column 'words', only text"),
        ({"verb": "classify"}, "'fake' does feature-extraction, and classify wants text-classification"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(InvalidInput, match=message):
        answered(pa.table({"text": ["a"]}), Server(), **settings)


def test_other_batches_and_columns_of_answers_are_refused():
    with pytest.raises(InvalidInput, match="the batch is a dict: call map_batches with batch_format='pyarrow'"):
        answered({"text": ["a"]}, Server())
    with pytest.raises(InvalidInput, match="'version' is the name of a column of the answers"):
        answered(pa.table({"text": ["a"], "version": [1]}), Server())
