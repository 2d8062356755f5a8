"""Tensors that no other step gives are told from those that fit."""

import numpy as np
import pytest

from encserve_server.steps.head.fit import Fit, text_of
from encserve_server.steps.request.options import InvalidArgument

FIT = Fit(
    {"logits": ("windows", 2), "lengths": ("windows",), "window_count": ("texts",)},
    {"window_count": "windows"},
)


def tensors(logits=(3, 2), lengths=3, window_count=(1, 2)):
    return {
        "logits": np.zeros(logits, np.float32),
        "lengths": np.ones(lengths, np.int64),
        "window_count": np.array(window_count, np.int32),
    }


def test_what_fits_is_let_through():
    FIT.check(tensors())
    FIT.check(tensors((0, 2), 0, ()))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"logits": (3, 4)}, r"input logits has shape \[1, 3, 4\]; \[1, windows, 2\] is expected"),
        ({"logits": (3,)}, r"input logits has shape \[1, 3\]; \[1, windows, 2\] is expected"),
        ({"lengths": 4}, r"input lengths has shape \[1, 4\]; \[1, 3\] is expected"),
        ({"window_count": (1, 1)}, "input window_count adds up to 2; there are 3 windows"),
        ({"window_count": (0, 3)}, "input window_count holds 0; 1 or more is expected"),
        ({"window_count": (2**31 - 1,) * 2}, "input window_count adds up to 4294967294"),
    ],
)
def test_what_does_not_is_refused_by_name(given, message):
    with pytest.raises(InvalidArgument, match=message):
        FIT.check(tensors(**given))


def test_a_text_that_is_no_utf8_is_refused_without_quoting_it():
    assert text_of("\u00fc".encode()) == "\u00fc"
    with pytest.raises(InvalidArgument, match="a text is not valid UTF-8: invalid start byte at byte 3"):
        text_of(b"abc\xff")
