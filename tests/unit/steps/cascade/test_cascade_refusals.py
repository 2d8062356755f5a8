"""The words by which the errors of the steps are told apart are those that the steps have."""

import ast
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from encserve_server.steps import tokenize
from encserve_server.steps.cascade.refusals import Refusal, refusal_in
from encserve_server.steps.cascade.waiting import WaitingRequests
from encserve_server.steps.instance.load_page import Load
from encserve_server.steps.request.options import InvalidArgument
from encserve_server.steps.tokenize.door.admission_queue import AdmissionQueue, Overloaded, QueueLimits
from encserve_server.steps.tokenize.door.lane_queue import QueuedRequest
from encserve_server.steps.tokenize.limits import Limits
from encserve_server.steps.tokenize.tokenization import Tokenization

LIMITS = {"max_length": 4, "max_texts_per_request": 2, "max_tokens_per_request": 6, "max_bytes_per_text": 40}


def queued(**changes):
    request = {"lane": "bulk", "texts": 2, "size": 9, "tokens": 4, "request_id": "", "timeout_s": 1, "arrived_s": 0}
    return QueuedRequest(work=None, **request | changes)


@pytest.mark.parametrize(
    ("limits", "load"),
    [
        ({"max_queued_texts": 3, "max_queued_bytes": 99}, Load(9, 0, 0)),
        ({"max_queued_texts": 9, "max_queued_bytes": 1}, Load(9, 0, 0)),
        ({"max_queued_texts": 9, "max_queued_bytes": 99}, Load(9, 1, 0)),
    ],
)
def test_what_the_door_refuses(limits, load):
    door = AdmissionQueue(QueueLimits(**limits), lambda lane: load, clock=lambda: 0.0)
    with pytest.raises(Overloaded) as refused:
        any(door.enter(queued()) for _ in range(2))  # the first one waits, or is refused
    assert refusal_in(str(refused.value)) is Refusal.UNAVAILABLE


def test_what_the_queue_of_a_cascade_refuses():
    limits = QueueLimits(max_queued_texts=3, max_queued_bytes=99)
    waiting = WaitingRequests(limits, {"bulk": 1, "interactive": 1}, clock=lambda: 0.0)
    waiting.put(queued())
    with pytest.raises(Overloaded) as refused:
        waiting.put(queued())
    assert refusal_in(str(refused.value)) is Refusal.UNAVAILABLE


@pytest.mark.parametrize(
    "message",
    [
        "the server is closing and lets no new request in",
        "timeout of 2 s was used up while the request waited",
        "the request was cancelled, or its timeout passed, before it was computed",
        "[request id: 1] Exceeds maximum queue size",
    ],
)
def test_what_may_be_tried_again(message):
    assert refusal_in(f"in ensemble 'small', {message}") is Refusal.UNAVAILABLE


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        ([], {}),
        ([b"a"] * 3, {}),
        ([b"a" * 41], {}),
        ([b"\xff"], {}),
        ([b"a a a a a"], {"truncate": "error"}),
        ([b"a a a a"] * 2, {}),
        ([b""], {}),
        ([b"a"], {"long_text": "chunk", "overlap": 4}),
    ],
)
def test_what_is_wrong_with_a_text(texts, options):
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    settings = {"layout": "single_texts", "limits": LIMITS, "prompts": {}, "tensors": ["input_ids", "lengths"]}
    tokenization = Tokenization(tokenizer, settings)
    options = {"truncate": "end", "long_text": "truncate", "overlap": 0} | options
    try:
        (answer,) = tokenization.tokenize([(tokenization.read({"text": np.array(texts)}, options), options)])
    except InvalidArgument as error:
        answer = error
    assert isinstance(answer, InvalidArgument)
    assert refusal_in(str(answer)) is Refusal.INVALID


@pytest.mark.parametrize(
    ("layout", "own"),
    [
        ("text_pairs", {}),
        ("context_windows", {}),
        ("templated_pairs", {"template": {"plain": ["", "", ""], "instructed": ["", "", "", ""]}}),
    ],
)
def test_pairs_that_are_none(layout, own):
    settings = {"layout": layout, "limits": LIMITS | {"max_texts_per_request": 9}, "prompts": {}, "tensors": []}
    tokenization = Tokenization(Tokenizer(models.WordLevel({"a": 0}, unk_token="a")), settings | own)
    with pytest.raises(InvalidArgument, match="2 texts and 3 text_pairs") as wrong:
        tokenization.read({"text": np.array([b"a"] * 2), "text_pair": np.array([b"a"] * 3)}, {})
    assert refusal_in(str(wrong.value)) is Refusal.INVALID


REFUSING = ("limits.py", "layouts/single_texts.py", "layouts/text_pairs.py", "rows/packed_rows.py")
"""The files in which the tokenize step of a classifier refuses texts."""
OF_VECTORS_ALONE = "does not go with a prompt in this pipeline, whose vectors leave it out"


def refusals_in(file):
    """What the source of a step refuses requests with, without the values."""
    for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Name) and call.func.id == "InvalidArgument":
            parts = (
                node.value for argument in call.args for node in ast.walk(argument) if isinstance(node, ast.Constant)
            )
            yield "".join(part for part in parts if isinstance(part, str))


@pytest.mark.parametrize("name", REFUSING)
def test_each_refusal_of_a_text_has_words_that_tell_it(name):
    refusals = list(refusals_in(Path(tokenize.__file__).parent / name))
    assert refusals
    told = [each for each in refusals if OF_VECTORS_ALONE not in each]
    assert {refusal_in(each) for each in told} == {Refusal.INVALID}, told


def test_limits_of_a_text_that_is_read_whole():
    with pytest.raises(InvalidArgument) as wrong:
        Limits(**LIMITS | {"max_bytes_per_text": 1 << 20}).decode([b"a" * 300_000], whole=True)
    assert refusal_in(str(wrong.value)) is Refusal.INVALID


def test_what_is_given_up_and_what_nobody_knows():
    assert refusal_in("the caller gave the request up while it waited") is Refusal.CANCELLED
    assert refusal_in("small_encode failed (RuntimeError); the server's log says where") is Refusal.FAILED
