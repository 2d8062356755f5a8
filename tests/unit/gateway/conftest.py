import hashlib
import json

import pytest

from encserve.testing import AsyncFakeTransport

from .pipelines import Fake


@pytest.fixture
def fake():
    """Makes gateways before fake pipelines, with settings of `GatewayConfig`."""
    return Fake


@pytest.fixture
def impatient(monkeypatch):
    """The rest of a request that is answered already is hardly waited for."""
    monkeypatch.setattr("encserve_gateway.http.response.LINGER_S", 0.05)


@pytest.fixture
def tracing_keys(tmp_path):
    """One key that may, one that may not: each is its name."""
    file = tmp_path / "keys.json"
    listed = [
        {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "traces": name == "may"}
        for name in ("may", "may-not")
    ]
    file.write_text(json.dumps({"keys": listed}))
    return file


@pytest.fixture
def traceparents(monkeypatch):
    """The `traceparent` of each request to a pipeline, or nothing: the fake transport's protobufs do not carry it."""
    found = []
    infer = AsyncFakeTransport.infer

    async def watched(transport, request, *, timeout_s):
        found.append(dict(request.metadata).get("traceparent", ""))
        return await infer(transport, request, timeout_s=timeout_s)

    monkeypatch.setattr(AsyncFakeTransport, "infer", watched)
    return found
