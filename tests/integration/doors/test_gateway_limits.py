"""What the gateway of deploy/gateway says before a server is asked: to who has no key, and to who sends JSON.

nginx is the real one. There is no server behind it: what passes is answered with 503.
"""

import json
import shutil
import socket
import ssl
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from edge import Gateway

from encserve import AccessDenied, EncserveError, RateLimited, Retry

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx: apt-get install nginx")

INFER = "/v2/models/minilm/infer"
ONCE = Retry(attempts=1)


@pytest.fixture
def gateway(authority, tmp_path):
    """Two requests without a key in a row, and one in a minute after them."""
    nobody = SimpleNamespace(config=SimpleNamespace(grpc_port=9, http_port=9), admin_secret="secret")
    gateway = Gateway(tmp_path, nobody, authority, strangers="1r/m")
    gateway.set("strangers.conf", r"burst=\d+", "burst=1")
    gateway.key = gateway.new_key("alice")
    with gateway:
        yield gateway


PATHS = [("GET", "/v2"), ("POST", INFER), ("GET", "/"), ("POST", "/v2/logging"), ("PUT", "/v2/models/minilm/config")]


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("key", [None, "x" * 64])
def test_an_address_without_a_key_is_limited_whatever_it_asks(gateway, method, path, key):
    answers = [gateway.http(method, path, key=key, body=b"{}" if method == "POST" else None) for _ in range(6)]
    assert [status for status, _, _ in answers] == [401, 401, 429, 429, 429, 429]
    _, headers, answer = answers[-1]
    assert (headers["retry-after"], answer["error"]) == (
        "1",
        "too many requests of this address without a known API key",
    )
    assert all(headers["connection"] == "close" for _, headers, _ in answers)  # no place is kept for who has no key


def test_a_size_is_no_way_past_the_limit(gateway):
    """nginx compares the length of a body before it looks at a key."""
    large = {"Content-Length": str(1 << 40)}
    assert [gateway.http("POST", INFER, headers=large)[0] for _ in range(4)] == [401, 401, 429, 429]
    assert gateway.http("POST", INFER, key=gateway.key, headers=large)[0] == 413


def test_an_address_without_a_key_is_limited_over_grpc(gateway):
    refused = []
    with gateway.client(api_key="x" * 64, retry=ONCE) as client:
        for _ in range(5):
            with pytest.raises(EncserveError) as error:
                client.embed(["a text"], model="minilm")
            refused.append(error.value)
    assert [type(each) for each in refused] == [AccessDenied] * 2 + [RateLimited] * 3
    assert "without a known API key" in str(refused[-1])


def test_a_key_is_not_limited_with_its_address(gateway):
    """After a good key the limits of the key count, and no request of it counts for its address."""

    def ask(number):
        return gateway.http("GET", "/v2", key=gateway.key if number % 2 else "x" * 64)[0]

    with ThreadPoolExecutor(8) as threads:
        statuses = Counter(threads.map(ask, range(80)))
    assert statuses == {503: 40, 401: 2, 429: 38}


def test_the_words_that_an_attacker_sees_do_not_tell_a_key_from_none(gateway):
    without, wrong = (gateway.http("GET", "/v2", key=key) for key in (None, "x" * 64))
    assert without[0] == wrong[0] == 401
    assert without[2] == wrong[2]


def body(json_bytes, length=None):
    """A request of so many bytes of JSON, and the header that names their number."""
    return json_bytes, {"Inference-Header-Content-Length": str(len(json_bytes) if length is None else length)}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/json"},
        {"Inference-Header-Content-Length": ""},
        {"Inference-Header-Content-Length": "0"},
        {"Inference-Header-Content-Length": "-5"},
        {"Inference-Header-Content-Length": "10000"},
        {"Inference-Header-Content-Length": "9" * 30},
        {"Inference-Header-Content-Length": "0x10"},
        {"Inference-Header-Content-Length": "17, 17"},
    ],
)
def test_json_does_not_pass_whatever_its_size(gateway, headers):
    for content in (b"{}", json.dumps({"inputs": ["x" * 500_000]}).encode(), b"[" * 100_000):
        status, _, answer = gateway.http("POST", INFER, key=gateway.key, body=content, headers=headers)
        assert status == 422, answer
        assert "JSON does not pass the gateway" in answer["error"]


@pytest.mark.parametrize("length", [1, 17, 9_999])
def test_tensors_behind_a_short_header_pass(gateway, length):
    content, headers = body(b"{" * 20_000, length)
    assert gateway.http("POST", INFER, key=gateway.key, body=content, headers=headers)[0] == 503


def test_json_is_refused_before_it_was_sent(gateway):
    """By its length alone: of a body of a mebibyte that does not come not a byte is waited for."""
    context = ssl.create_default_context(cafile=gateway.authority.cert)
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\nContent-Length: 1000000\r\n\r\n"
    with (
        socket.create_connection(("localhost", gateway.port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 422"
