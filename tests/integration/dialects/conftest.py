import pytest
from gateways import running_gateway


@pytest.fixture(scope="session")
def gateway(server):
    """A gateway before the server that all tests share. The pipelines are `minilm` and `prompted`; `strict` refuses
    what `minilm` would cut, and `small` gives vectors of 8 numbers."""
    aliases = ("--alias", "strict=minilm,truncate=error", "--alias", "small=minilm,dimensions=8")
    with running_gateway(server.grpc_url, *aliases) as address:
        yield address
