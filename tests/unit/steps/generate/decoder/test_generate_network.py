"""How the graphs of a pipeline that generates are loaded."""

from pathlib import Path

from encserve_server.steps.generate.decoder import network
from encserve_server.steps.generate.decoder.network import ENCODER_FILE, STEP_FILE, GenerateNetwork, Shape


def test_both_are_loaded_as_those_of_an_encode_step_and_keep_their_arenas(monkeypatch):
    """What loads them is what keeps ONNX Runtime from telling its maker."""
    loaded = {}

    def load_network(runtime, graph, hints, *, arena=False, **options):
        loaded[graph.name] = (runtime, arena)

    monkeypatch.setattr(network, "load_network", load_network)
    GenerateNetwork(Path(), Shape(layers=1, heads=1, size=2, vocabulary=3), threads=1)
    assert loaded == dict.fromkeys((ENCODER_FILE, STEP_FILE), ("onnxruntime", True))
