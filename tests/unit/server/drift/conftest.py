"""A server whose vectors lie around one of two middles."""

import pytest
from frozen_baselines import client

from encserve_server import baseline
from encserve_server.administration import drift_command


@pytest.fixture(autouse=True)
def server(monkeypatch):
    for module in (baseline, drift_command):
        monkeypatch.setattr(module, "open_client", client)
