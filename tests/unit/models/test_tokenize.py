"""The shell of the tokenize step, around a tokenizer that may fail."""

import numpy as np
import pytest

from encserve_server.models.options import InvalidArgument


class Panic(BaseException):
    """As the Rust side of a tokenizer raises it."""


class Tokenization:
    def tokenize(self, requests):
        if any(text == "panic" for (text,), _ in requests):
            raise Panic("index out of range")
        return [
            InvalidArgument("too long") if text == "long" else {"input_ids": np.array([len(text)])}
            for (text,), _ in requests
        ]


@pytest.fixture
def step(triton):
    from encserve_server.models.tokenize import TritonPythonModel

    model = TritonPythonModel()
    model._tokenization = Tokenization()
    model._tensors = ["input_ids"]
    return model


def test_a_text_at_which_the_tokenizer_fails_fails_alone(step):
    good, refused, failed, also_good = step._tokenize([([text], {}) for text in ("a", "long", "panic", "abc")])
    assert (good.tensors["input_ids"].tolist(), also_good.tensors["input_ids"].tolist()) == ([[1]], [[3]])
    assert (refused.error.code, refused.error.message) == ("invalid", "too long")
    assert (failed.error.code, failed.error.message) == ("internal", "the tokenizer failed: index out of range")
