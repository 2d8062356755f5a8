"""Every error of the SDK has a status, and tells clients whether to ask again."""

import pytest

import encserve
from encserve import (
    AccessDenied,
    ContractError,
    DeadlineExceeded,
    EncserveError,
    InferenceFailed,
    InvalidInput,
    ModelNotFound,
    Overloaded,
    RateLimited,
    TransportError,
    Unavailable,
)
from encserve_gateway.faults import KINDS, Fault, Kind, fault_of

from .asgi import post

EXPECTED = {
    InvalidInput: 400,
    ModelNotFound: 404,
    RateLimited: 429,
    Overloaded: 503,
    Unavailable: 503,
    TransportError: 503,
    AccessDenied: 503,
    DeadlineExceeded: 504,
    InferenceFailed: 500,
    ContractError: 500,
}


@pytest.mark.parametrize(("error", "status"), EXPECTED.items())
async def test_status(fake, error, status):
    def fail(request):
        raise error("a reason")

    answered = await post(fake(fail, timeout_s=0.05).gateway, "/v1/embeddings", {"input": "a", "model": "embed"})
    assert answered.status == status
    assert ("retry-after" in answered.headers) == (status in (429, 503))
    assert (answered.headers.get("x-should-retry") == "false") == (error in (DeadlineExceeded, ContractError))


def test_every_error_is_in_the_table_before_what_it_derives_from():
    classes = [error for error, _ in KINDS]
    assert set(classes) == set(EXPECTED)
    public = {
        value for value in vars(encserve).values() if isinstance(value, type) and issubclass(value, EncserveError)
    }
    assert public == {*classes, EncserveError, encserve.ServerError}
    for number, later in enumerate(classes):
        assert not [earlier for earlier in classes[:number] if issubclass(later, earlier)]


@pytest.mark.parametrize(("seconds", "told"), [(0.0, b"1"), (0.2, b"1"), (7.1, b"8"), (1e6, b"120")])
def test_retry_after_is_whole_and_short(seconds, told):
    error = RateLimited("too often")
    error.retry_after_s = seconds
    headers = dict(fault_of(error, model="m").headers)
    assert headers[b"retry-after"] == told
    assert headers[b"retry-after-ms"] == told + b"000"


def test_the_server_counts_texts_of_its_own_request():
    error = InvalidInput("text 3 is wrong", status="INVALID_ARGUMENT")
    error.rows_done = 64
    assert fault_of(error, model="m").message == "text 3 is wrong (counted from text 64)"


def test_addresses_are_not_for_callers():
    fault = fault_of(Unavailable("10.0.0.1:8001 is down"), model="minilm")
    assert fault.message == "the model 'minilm' cannot be reached for now"


def test_who_has_no_key_is_told_how_to_send_one():
    assert (b"www-authenticate", b"Bearer") in Fault(Kind.NO_KEY, "no").headers
