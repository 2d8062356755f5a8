"""Errors that come as messages of a stream."""

import grpc
import pytest
from tritonclient.grpc import service_pb2

from encserve import ContractError, InferRequest, InferResponse
from encserve._transport.streams import StreamFailure, only, read

REQUEST = InferRequest(model="fake", inputs={}, outputs=())
RESPONSE = InferResponse(model="fake", version="1", tensors={})


@pytest.mark.parametrize(
    ("message", "status", "details"),
    [
        ("INVALID_ARGUMENT: option a is 1: no", "INVALID_ARGUMENT", "option a is 1: no"),
        ("in ensemble 't5', UNAVAILABLE: 5 texts wait\nand more", "UNAVAILABLE", "5 texts wait\nand more"),
        ("CANCELLED: request x is given up", "CANCELLED", "request x is given up"),
        ("INTERNAL: t5_generate failed", "INTERNAL", "t5_generate failed"),
        (
            "Request for unknown model: 't5' version 3 is not at ready state",
            "NOT_FOUND",
            "Request for unknown model: 't5' version 3 is not at ready state",
        ),
        ("a text with UNAVAILABLE: in it", "INTERNAL", "a text with UNAVAILABLE: in it"),
    ],
)
def test_the_status_stands_in_the_words(message, status, details):
    with pytest.raises(StreamFailure) as failure:
        read(service_pb2.ModelStreamInferResponse(error_message=message))
    assert (failure.value.code(), failure.value.details()) == (grpc.StatusCode[status], details)


def test_one_response_is_promised():
    assert only(RESPONSE, None, REQUEST) is RESPONSE
    for responses, complaint in (((None, None), "no response"), ((RESPONSE, RESPONSE), "several responses")):
        with pytest.raises(ContractError, match=f"sent {complaint} where one is promised"):
            only(*responses, REQUEST)
