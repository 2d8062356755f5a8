"""Pages of other sites: none may ask, unless their origins are named."""

import pytest
from unit.gateway.asgi import ask, get, post

from encserve import InvalidInput
from encserve_gateway.config import GatewayConfig

PAGE, OTHER = "https://app.example.org", "https://evil.example.org"
ASKS = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
GOOD = {"input": "a", "model": "embed"}


def allowed(answered):
    return answered.headers.get("access-control-allow-origin")


async def test_without_origins_there_is_no_cors(fake):
    gateway = fake().gateway
    refused = await ask(gateway, "OPTIONS", "/v1/embeddings", headers={"origin": PAGE} | ASKS)
    assert (refused.status, allowed(refused)) == (405, None)
    answered = await post(gateway, "/v1/embeddings", GOOD, origin=PAGE)
    assert (answered.status, allowed(answered)) == (200, None)
    assert "vary" not in answered.headers


async def test_a_page_that_is_named_may_ask_and_read(fake, tmp_path):
    gateway = fake(origins=(PAGE, "http://localhost:3000")).gateway
    told = await ask(gateway, "OPTIONS", "/v1/embeddings", headers={"origin": PAGE} | ASKS)
    assert (told.status, allowed(told), told.body) == (200, PAGE, b"")
    assert "content-type" in told.headers["access-control-allow-headers"]
    assert "POST" in told.headers["access-control-allow-methods"]
    for answered in (
        await post(gateway, "/v1/embeddings", GOOD, origin=PAGE),
        await post(gateway, "/v1/embeddings", {}, origin=PAGE),  # an error is to be read, too
        await get(gateway, "/v1/models", origin=PAGE),
    ):
        assert (allowed(answered), answered.headers["vary"]) == (PAGE, "origin")
        assert "x-request-id" in answered.headers["access-control-expose-headers"]


async def test_a_browser_asks_without_a_key_whether_it_may(fake, tmp_path):
    file = tmp_path / "keys.json"
    file.write_text('{"keys": []}')
    gateway = fake(origins=(PAGE,), keys=file).gateway
    assert (await ask(gateway, "OPTIONS", "/v1/embeddings", headers={"origin": PAGE} | ASKS)).status == 200
    assert (await post(gateway, "/v1/embeddings", GOOD, origin=PAGE)).status == 401


async def test_others_may_not(fake):
    gateway = fake(origins=(PAGE,)).gateway
    for origin in (OTHER, PAGE + ".evil.org", PAGE.upper(), "null", "ä"):
        refused = await ask(gateway, "OPTIONS", "/v1/embeddings", headers={"origin": origin} | ASKS)
        assert (refused.status, allowed(refused)) == (405, None)
        assert allowed(await post(gateway, "/v1/embeddings", GOOD, origin=origin)) is None
    assert allowed(await post(gateway, "/v1/embeddings", GOOD)) is None


@pytest.mark.parametrize(
    "origin", ["*", "app.example.org", "https://app.example.org/", "https://a.org/page", "ftp://a"]
)
def test_origins_have_a_scheme_and_no_path(origin):
    with pytest.raises(InvalidInput, match="origin"):
        GatewayConfig(origins=(origin,))
