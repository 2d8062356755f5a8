import copy
import pickle

import pytest

from encserve import DeadlineExceeded, EncserveError, InferenceFailed, InvalidInput


def test_message_carries_what_applies():
    error = InferenceFailed("NaN in row 3", model="minilm", version="2", request_id="ab-0", status="INTERNAL")
    assert str(error) == "NaN in row 3 (model minilm, version 2, status INTERNAL, request ab-0)"
    assert str(EncserveError("plain")) == "plain"


def test_deadline_says_the_timeout():
    assert str(DeadlineExceeded("late", timeout_s=2.5)) == "late (timeout 2.5 s)"


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (4160, 10_000, "bad; rows 0 to 4159 of 10000 are done"),
        (0, 10_000, "bad; no row of 10000 is done"),
        (64, None, "bad; rows 0 to 63 are done"),
        (0, None, "bad; no row is done"),
        (0, 1, "bad"),
        (None, 10_000, "bad"),
    ],
)
def test_message_says_how_far_the_call_came(done, total, text):
    error = EncserveError("bad")
    error.rows_done, error.rows_total = done, total
    assert str(error) == text


def test_message_says_from_where_the_server_counts():
    error = InvalidInput("text 5 is too long", status="INVALID_ARGUMENT")
    error.rows_done, error.rows_total = 64, 100
    assert str(error).endswith("; rows 0 to 63 of 100 are done, and the server counts texts from row 64")


def test_invalid_input_is_a_value_error():
    with pytest.raises(ValueError, match="bad"):
        raise InvalidInput("bad")


@pytest.mark.parametrize("clone", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_survives_copies(clone):
    error = InferenceFailed("bad", model="minilm", timeout_s=1.0)
    error.rows_done = 3
    assert vars(clone(error)) == vars(error)
    assert str(clone(error)) == str(error)
