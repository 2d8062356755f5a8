"""What the clients refuse, what they try again, and what their errors say."""

from dataclasses import replace

import pytest
from unit.client.both_clients import QUICK, assert_ended, lengths, threads_of_clients
from unit.client.conftest import answer

from encserve import (
    ContractError,
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    Unavailable,
)
from encserve.testing import fake_pipeline


@pytest.mark.parametrize("texts", ["text", b"text", 3, ["fine", None], ["fine", "\udc00"], ["a" * 70_000]])
def test_bad_texts_are_refused_before_anything_is_sent(connect, model, texts):
    client = connect(model, texts_per_request=1)
    with pytest.raises(InvalidInput) as caught:
        client.embed(texts)
    assert caught.value.rows_done is None
    assert not model.requests


@pytest.mark.parametrize(
    "options",
    [
        {"model": ""},
        {"model": None},
        {"truncate": "middle"},
        {"timeout_s": 0},
        {"timeout_s": 1e10},
        {"timeout_s": float("nan")},
    ],
)
def test_bad_arguments(connect, model, options):
    with pytest.raises(InvalidInput):
        connect(model).embed(["a"], **options)
    assert not model.requests


@pytest.mark.parametrize("settings", [{"timeout_s": -1}, {"concurrency": 0}, {"texts_per_request": 0}])
def test_bad_settings(connect, model, settings):
    with pytest.raises(InvalidInput):
        connect(model, **settings)


def test_a_bad_text_in_a_generator_says_how_far_it_came(connect, model):
    parts = []
    with pytest.raises(InvalidInput, match=r"text 20 is int, expected str; rows 0 to \d+ are done") as caught:
        connect(model, texts_per_request=2).embed_iter(iter(["a"] * 20 + [7]), parts)
    assert caught.value.rows_done == sum(map(len, parts)) > 0


def test_a_failure_says_how_far_the_call_came(connect, model):
    def fail_at_10(request):
        if request.inputs["text"][0] == b"bad":
            raise InferenceFailed("NaN", model="fake")
        return model(request)

    parts, before = [], threads_of_clients()
    client = connect(fail_at_10, texts_per_request=2, concurrency=4)
    with pytest.raises(InferenceFailed, match="rows 0 to 9 of 100 are done") as caught:
        client.embed_iter(["a"] * 10 + ["bad"] + ["a"] * 89, parts)
    assert caught.value.rows_done == sum(map(len, parts)) == 10
    assert caught.value.rows_total == 100
    assert len(model.requests) < 12
    client.close()
    assert_ended(threads_of_clients() - before)


def test_retries_while_unavailable(connect, model):
    refusals = iter([True, True])

    def busy(request):
        if next(refusals, False):
            raise Unavailable("queue is full")
        return model(request)

    assert lengths(connect(busy, retry=QUICK).embed(["a"])) == [1]
    assert next(refusals, None) is None


def test_gives_up(connect):
    requests = []

    def busy(request):
        requests.append(request.request_id)
        raise Unavailable("restarting")

    with pytest.raises(Unavailable, match=r"restarting \(timeout 7 s\)"):
        connect(busy, retry=replace(QUICK, attempts=5), timeout_s=7).embed(["a"])
    assert len(requests) == 5


def test_a_late_answer_is_not_repeated(connect):
    requests = []

    def late(request):
        requests.append(request)
        raise DeadlineExceeded("late")

    with pytest.raises(DeadlineExceeded, match=r"timeout 0\.5 s"):
        connect(late).embed(["a"], timeout_s=0.5)
    assert len(requests) == 1


def test_unknown_model(connect, model):
    with pytest.raises(ModelNotFound, match="model nowhere"):
        connect(model).embed(["a"], model="nowhere")


def test_a_pipeline_for_another_task(connect, model):
    client = connect(model, pipelines=[fake_pipeline(task="text-classification")])
    with pytest.raises(InvalidInput, match="'fake' is for text-classification, embed needs feature-extraction"):
        client.embed(["a"])


def test_wrong_row_count(connect):
    with pytest.raises(ContractError, match="'embedding' has shape"):
        connect(lambda request: answer([1, 2, 3])).embed(["a", "b"])
