"""Cases 22 to 28 and 76: what is not of one dialect, of a request itself: bodies, keys, health, methods and paths."""

import json

import pytest
from unit.gateway.asgi import ask, get

from encserve import Unavailable

from .case import JSON, KEY, Case, contains, invalid

PATH = "/v1/embeddings"
GOOD = {"input": "a", "model": "embed"}
SMALL = {"gateway": {"max_body_bytes": 100}}


def nasty(what, body):
    return Case(22, what, PATH, body, 400, invalid(None, "the body is"))


def declared(what, media_type, status):
    return Case(23, what, PATH, GOOD, status, headers={"content-type": media_type})


def method(what, verb, path, status, allow=None, *, body=None):
    return Case(76, what, path, body, status, None, method=verb, told={"allow": allow} if allow else {})


CASES = [
    nasty("a lone surrogate", rb'{"input":"\ud800"}'),
    nasty("NaN", b'{"input":"a","dimensions":NaN}'),
    nasty("2,000 lists in each other", b'{"input":' + b"[" * 2_000 + b"]" * 2_000 + b"}"),
    nasty("the end is missing", b'{"input":"a'),
    nasty("an array", b'["a"]'),
    nasty("nothing", b""),
    nasty("a byte order mark", b'\xef\xbb\xbf{"input":"a"}'),
    declared("no content-type", "", 415),
    declared("text/plain", "text/plain", 415),
    declared("a charset", "application/json; charset=utf-8", 200),
    Case(24, "packed", PATH, b"\x1f\x8b", 415, headers={"content-encoding": "gzip"}),
    Case(24, "too large by its header", PATH, b"", 413, headers={"content-length": "101"}, **SMALL),
    Case(24, "too large as it comes", PATH, b" " * 101, 413, **SMALL),
    *(Case(28, path, path, has={"status": "ready"}) for path in ("/health", "/ping")),
    method("GET where only POST is", "GET", PATH, 405, "POST"),
    method("OPTIONS", "OPTIONS", PATH, 405, "POST"),
    method("HEAD where only POST is", "HEAD", PATH, 405, "POST"),
    method("DELETE", "DELETE", "/v1/models", 405, "GET, HEAD"),
    method("HEAD where GET is", "HEAD", "/v1/models", 200),
    method("an unknown path", "GET", "/v1/nothing", 404),
    method("a slash at the end", "POST", f"{PATH}/", 200, body=GOOD),
    method("two slashes", "POST", f"/{PATH}", 200, body=GOOD),
]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_cases(fake, case):
    await case.check(fake)


async def test_case_28_no_pipeline_lives(fake):
    def down(request):
        raise Unavailable("down")

    app = fake(down).gateway
    assert [(await get(app, path)).status for path in ("/health", "/ping", "/")] == [503] * 3
    assert (await get(fake().gateway, "/")).status == 200


@pytest.mark.parametrize(("public", "status"), [(True, 200), (False, 401)])
async def test_case_26_the_list_of_models_without_a_key(fake, keys, public, status):
    assert (await get(fake(keys=keys(), public_models=public).gateway, "/v1/models")).status == status


KEYS = {
    "none": ({}, 401),
    "wrong": ({"authorization": "Bearer other"}, 401),
    "raw": ({"authorization": KEY}, 200),
    "bearer": ({"authorization": f"Bearer {KEY}"}, 200),
    "x-api-key": ({"x-api-key": KEY}, 200),
    "api-key": ({"api-key": KEY}, 200),
}


@pytest.mark.parametrize(("headers", "status"), KEYS.values(), ids=KEYS)
async def test_case_27_ways_to_show_a_key(fake, keys, headers, status):
    body = json.dumps(GOOD).encode()
    answered = await ask(fake(keys=keys()).gateway, "POST", PATH, body=body, headers=JSON | headers)
    assert answered.status == status
    assert status == 200 or answered.json["error"]["code"] == "invalid_api_key"


async def test_case_28_health_needs_no_key(fake, keys):
    app = fake(keys=keys()).gateway
    assert [(await get(app, path)).status for path in ("/health", "/ping")] == [200, 200]


async def test_case_76_a_path_that_there_is_not_is_told_as_json(fake):
    answered = await get(fake().gateway, "/v1/nothing")
    contains(answered.json, invalid(None, "there is no such route"))
