"""What tests of the generate step share."""

import json

import pytest
from counting_engine import LIMITS, SHAPE, CountingNetwork, networks, threading_gate

from encserve_server.steps.encode.host.requirements import HostRequirements
from encserve_server.steps.generate import engine as engine_module
from encserve_server.steps.generate.engine import Engine


@pytest.fixture
def make(tmp_path, monkeypatch):
    """make(**limits): an engine whose steps wait until the gate is open."""
    threading_gate.clear()
    networks.clear()
    monkeypatch.setattr(engine_module, "GenerateNetwork", CountingNetwork)
    requirements = HostRequirements(backend="python").__dict__
    settings = {"shape": SHAPE, "requirements": requirements, "graph_sha256": {}, "start_token": 7}
    engines = []

    def made(count=lambda step: None, **limits):
        (tmp_path / "settings.json").write_text(json.dumps({**settings, "engine": LIMITS | limits}))
        reported = []
        engine = Engine(tmp_path, count=count, report=lambda where, error: reported.append((where, str(error))))
        engine.reported = reported
        engines.append(engine)
        return engine

    yield made
    threading_gate.set()
    for engine in engines:
        engine.close()
