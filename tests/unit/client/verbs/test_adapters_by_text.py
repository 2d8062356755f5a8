"""An option that each text of a call may have a value of its own of, as `adapter`."""

import asyncio
import json

import numpy as np
import pytest

from encserve import AsyncClient, Client, InvalidInput
from encserve._pipeline import PipelineInfo
from encserve.testing import AsyncFakeTransport, FakeTransport, fake_pipeline


def vectors(request):
    texts = len(request.inputs["text"])
    return {"embedding": np.zeros((1, texts, fake_pipeline().dimensions), np.float32)}


def test_each_request_has_the_names_of_its_own_texts(ask):
    names = ["a", "b", "none", "a", "b"]
    _, requests = ask(fake_pipeline(), vectors, "embed", ["1", "2", "3", "4", "5"], adapter=names, normalize=True)
    sent = {request.inputs["text"][0]: request.parameters for request in requests}
    assert {text: json.loads(parameters["adapter"]) for text, parameters in sent.items()} == {
        b"1": ["a", "b"],
        b"3": ["none", "a"],
        b"5": ["b"],
    }
    assert all(parameters["normalize"] is True for parameters in sent.values())


def test_one_name_is_sent_as_it_is(ask):
    _, requests = ask(fake_pipeline(), vectors, "embed", ["1", "2", "3"], adapter="a")
    assert [request.parameters for request in requests] == [{"adapter": "a"}] * 2


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (["a"], "adapter has 1 values for 2 texts, expected one for each"),
        ([], "adapter has 0 values for 2 texts"),
        (["a", 3], "adapter has int at 1, expected a str that is not empty"),
        (["a", ""], "adapter has '' at 1"),
        (3, "adapter is 3, expected a str"),
    ],
)
def test_wrong_names_are_refused_before_anything_is_sent(ask, adapter, message):
    with pytest.raises(InvalidInput, match=message):
        ask(fake_pipeline(), vectors, "embed", ["1", "2"], adapter=adapter)


def test_a_list_is_for_texts_that_are_all_there():
    with (
        Client(transport=FakeTransport(vectors)) as client,
        pytest.raises(InvalidInput, match="adapter is a list, and texts is an iterator"),
    ):
        list(client.embed_iter((text for text in "ab"), model="fake", adapter=["a", "b"]))


def test_verbs_of_which_a_request_has_one_answer_take_one_name(ask):
    with pytest.raises(InvalidInput, match=r"adapter is \['a'\], expected a str"):
        ask(fake_pipeline(task="text-ranking", pairs=True), vectors, "rerank", "q", ["d"], adapter=["a"])


def test_calls_with_lists_never_share_a_request():
    """Others do: then each would get the adapters of the first."""
    requests = []

    async def answer(request):
        requests.append(request)
        texts = len(request.inputs["text"])
        counts = {"token_count": np.ones((1, texts), np.int32), "dropped_count": np.zeros((1, texts), np.int32)}
        return {**counts, **vectors(request)}

    async def ask(**first):
        transport = AsyncFakeTransport(answer, pipelines=[fake_pipeline()])
        async with AsyncClient(transport=transport, concurrency=1) as client:
            await asyncio.gather(*(client.embed([str(call)], model="fake", **first) for call in range(6)))
        sent, requests[:] = [len(request.inputs["text"]) for request in requests], []
        return sent

    assert max(asyncio.run(ask(adapter="a"))) > 1
    assert asyncio.run(ask(adapter=["a"])) == [1] * 6


def test_a_pipeline_says_its_adapters_only_where_it_has_some():
    adapted = fake_pipeline(adapters=("legal", "medical"))
    parameters = adapted.to_parameters()
    assert PipelineInfo.from_parameters("fake", parameters).adapters == ("legal", "medical")
    plain = fake_pipeline().to_parameters()
    assert "adapters" not in plain
    assert PipelineInfo.from_parameters("fake", plain).adapters == ()
