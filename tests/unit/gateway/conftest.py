import pytest

from .pipelines import Fake


@pytest.fixture
def fake():
    """Makes gateways before fake pipelines, with settings of `GatewayConfig`."""
    return Fake
