import numpy as np
import pytest

from encserve_server.steps.encode.bounds import Bounds
from encserve_server.steps.request.options import InvalidArgument

BOUNDS = Bounds(max_length=4, max_tokens=6, vocabularies={"input_ids": 10, "token_type_ids": 2})
GOOD = {"input_ids": [0, 9, 5, 5], "lengths": [3, 1], "token_type_ids": [0, 1, 0, 0], "mask_at": [0, 3]}


def check(**changes):
    tensors = {name: np.array(value, np.int64) for name, value in {**GOOD, **changes}.items()}
    BOUNDS.check(tensors)


def test_what_the_tokenizer_gives_passes():
    check()
    check(mask_at=[])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": []}, "the request has no texts"),
        ({"lengths": [4, 0]}, "a text has 0 tokens; 1 to 4 are expected"),
        ({"lengths": [5, -1]}, "a text has -1 tokens; 1 to 4 are expected"),
        ({"lengths": [2**62, 2**62]}, f"a text has {2**62} tokens"),
        ({"lengths": [3, 2]}, "lengths add up to 5, and input_ids has 4 tokens"),
        ({"input_ids": [1] * 7, "lengths": [4, 3]}, "the request has 7 tokens; at most 6 are expected"),
        ({"input_ids": [0, 10, 5, 5]}, "input_ids holds 10; 0 to 9 are expected"),
        ({"input_ids": [0, -1, 5, 5]}, "input_ids holds -1; 0 to 9 are expected"),
        ({"token_type_ids": [0, 0, 0, 2]}, "token_type_ids holds 2; 0 to 1 are expected"),
        ({"token_type_ids": [0, 0, 0]}, "token_type_ids has 3 elements for 4 tokens"),
        ({"mask_at": [4]}, "mask_at holds 4; 0 to 3 are expected"),
        ({"mask_at": [2, 2]}, "mask_at must rise"),
    ],
)
def test_what_the_network_cannot_take_is_refused(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        check(**changes)


MASKED = Bounds(max_length=4, max_tokens=6, vocabularies={"input_ids": 10, "token_type_ids": 2}, mask_id=9)


@pytest.mark.parametrize(("mask_at", "wrong"), [([], 0), ([0], 3), ([1, 3], 0), ([0, 1], 1), ([0, 1, 3], 1)])
def test_masks_that_are_not_where_they_are_said_to_be_are_refused(mask_at, wrong):
    """The network finds them among the tokens of a batch: one too many would take the rows of another request."""
    tensors = {name: np.array(value, np.int64) for name, value in GOOD.items()}
    tensors["input_ids"] = np.array([9, 1, 2, 9])
    MASKED.check({**tensors, "mask_at": np.array([0, 3])})
    with pytest.raises(InvalidArgument, match=f"mask_at is wrong about token {wrong}: "):
        MASKED.check({**tensors, "mask_at": np.array(mask_at, np.int64)})


def test_a_request_may_have_no_texts_where_a_table_answers_some():
    bounds = Bounds(max_length=4, max_tokens=6, vocabularies={"input_ids": 10}, columns_of_none={"weights": 10})
    nothing = np.empty(0, np.int64)
    bounds.check({"input_ids": nothing, "lengths": nothing})
    with pytest.raises(InvalidArgument, match="the request has no texts"):
        bounds.check({"input_ids": np.array([1]), "lengths": nothing})
