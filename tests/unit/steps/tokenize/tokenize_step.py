"""What a tokenize step is set up with in tests, and how it is asked."""

import json
import time

from encserve_server.steps.instance.load_page import Load, LoadWriter

OPTIONS = {
    "truncate": {"kind": "choice", "allowed": ["end", "error"], "default": "end"},
    "prompt_name": {"kind": "choice", "allowed": ["query"], "default": None},
    "lane": {"kind": "choice", "allowed": ["interactive", "bulk"], "default": "interactive"},
    "cancel": {"kind": "id", "default": ""},
}
SETTINGS = {
    "layout": "single_texts",
    "limits": {"max_length": 8, "max_texts_per_request": 4, "max_tokens_per_request": 32, "max_bytes_per_text": 100},
    "options": OPTIONS,
    "prompts": {},
    "queue": {"max_queued_texts": 100, "max_queued_bytes": 10_000},
    "encode_model": "minilm_encode",
    "tensors": ["input_ids", "lengths", "token_count", "dropped_count"],
    "arrival": "arrived_ns",
}
ARGS = {"model_name": "minilm_tokenize", "model_version": "1", "model_instance_name": "minilm_tokenize_0_0"}


class Encoder:
    """The page of an encode step that says what the test wants."""

    def __init__(self, folder):
        self._page = LoadWriter(folder / "encode.load", 0)

    def has(self, tokens):
        for lane in ("interactive", "bulk"):
            self._page.publish(lane, Load(tokens=tokens, rate=0.0, room=100))


def request_of(triton, *texts, **given):
    parameters = json.dumps(given.pop("parameters", {}))
    return triton.Request(parameters, text=[[text.encode() for text in texts]], **given)


def answer_of(request):
    """What a request that waited is sent."""
    deadline_s = time.monotonic() + 60
    while not request.answers:
        assert time.monotonic() < deadline_s, "nobody answered"
        time.sleep(0.001)
    (answer,) = request.answers
    return answer


def ids_of(answer):
    assert answer.error is None, answer.error.message
    return answer.tensors["input_ids"].tolist()


def full(encoder, step):
    """Let nobody in until the encoder has room again."""
    encoder.has(1_000)
    while (load := step._queue._load("interactive")) is None or load.tokens < 1_000:
        time.sleep(0.001)


def counted(counter, **labels):
    return counter._counts[tuple(labels.items())]
