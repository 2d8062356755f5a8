"""Questions of the tests of OpenAI's completions."""

import json

import numpy as np
from unit.gateway.asgi import post
from unit.gateway.pipelines import pieces_of

PATH = "/v1/completions"


def events_of(answered):
    """The events of an answer, each read, and what stands behind the last."""
    *events, rest = answered.body.decode().split("\n\n")
    said = [event.removeprefix("data: ") for event in events]
    return [json.loads(each) if each != "[DONE]" else each for each in said], rest


async def completed(fake, **fields):
    answered = await post(fake.gateway, PATH, {"model": "generate", "prompt": "a b c"} | fields)
    assert answered.status == 200, answered.body
    return answered


async def refused(fake, status, **fields):
    answered = await post(fake.gateway, PATH, {"model": "generate", "prompt": "a b c"} | fields)
    assert answered.status == status, answered.body
    return answered.json["error"]


class Breaks:
    """A pipeline whose stream says one piece, and then what `then` does."""

    def __init__(self, monkeypatch, then):
        async def received(stream):
            return stream.take() if len(stream._left) > 1 else await then()

        monkeypatch.setattr("encserve.testing._AsyncFakeStream.next", received)
        counts = {"token_count": [[5]], "dropped_count": [[0]]}
        told = {name: np.array(value, np.int32) for name, value in counts.items()}
        self.parts = [pieces_of(["one"], [""], [1]) | told, pieces_of([""], ["eos"], [2]) | told]

    def __call__(self, request):
        return self.parts
