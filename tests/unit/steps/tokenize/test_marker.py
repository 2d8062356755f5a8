"""The request that the tokenize step sends itself, and what its answer says."""

from types import SimpleNamespace

import numpy as np
import pytest

from encserve_server.steps.tokenize.door.one_token import one_token
from encserve_server.steps.tokenize.door.sent_requests import Marked

MASK = 103


@pytest.mark.parametrize("inputs", [("input_ids", "lengths", "token_type_ids"), ("input_ids", "lengths", "mask_at")])
def test_a_marker_has_as_many_masks_as_it_says(inputs):
    tensors = one_token(inputs, MASK)
    assert set(tensors) == set(inputs)
    assert {tensor.shape for tensor in tensors.values()} == {(1, 1)}
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.int64)}
    assert tensors["lengths"] == 1
    assert np.sum(tensors["input_ids"] == MASK) == ("mask_at" in inputs)


@pytest.mark.parametrize(
    ("error", "marked"),
    [
        (None, Marked.COMPUTED),
        (("internal", "the network failed"), Marked.FAILED),
        (("later", "Request timeout expired"), Marked.REFUSED),
        (("internal", "[request id: <id_unknown>] Exceeds maximum queue size"), Marked.REFUSED),
    ],
    ids=["computed", "failed", "expired", "queue full"],
)
def test_only_a_marker_whose_turn_came_says_that_all_before_it_is_done(triton, error, marked):
    """The Python backend passes on the words of a full queue, and not its code."""
    asked = []

    def answer():
        code, message = error or ("", "")
        said = SimpleNamespace(code=lambda: code, message=lambda: message)
        return SimpleNamespace(has_error=lambda: error is not None, error=lambda: said)

    triton.InferenceRequest = lambda **request: asked.append(request) or SimpleNamespace(exec=answer)
    from encserve_server.steps.tokenize.door.marker import Marker

    assert Marker("minilm_encode", "3", ["input_ids", "lengths", "mask_at"], MASK).send() == marked
    (request,) = asked
    assert (request["model_name"], request["model_version"]) == ("minilm_encode", 3)
    assert {tensor.name(): tensor.as_numpy().item() for tensor in request["inputs"]} == {
        "input_ids": MASK,
        "lengths": 1,
        "mask_at": 0,
    }


def test_a_server_that_closes_fails_a_marker(triton):
    def gone(**request):
        raise RuntimeError("the server closes")

    triton.InferenceRequest = gone
    triton.Logger.log_verbose = triton.logged.append
    from encserve_server.steps.tokenize.door.marker import Marker

    assert Marker("minilm_encode", "3", ["input_ids", "lengths"], None).send() == Marked.FAILED
