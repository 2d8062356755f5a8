"""The step in a repository, and the two pipelines that it asks."""

import hashlib
import json
from types import SimpleNamespace

import pytest
from two_pipelines import ARGS, SETTINGS, TOKEN, Pipelines


@pytest.fixture
def pipelines(triton):
    pipelines = Pipelines()

    def request(*, inputs, **about):
        made = SimpleNamespace(inputs={tensor.name(): tensor.as_numpy() for tensor in inputs}, **about)
        made.exec = lambda: pipelines.ask(made)
        return made

    triton.InferenceRequest = request
    triton.is_model_ready = lambda model, version: (model, version) in pipelines.ready
    return pipelines


@pytest.fixture
def make(triton, pipelines, tmp_path, monkeypatch):
    """Makes the step in a repository; `changes` are of its settings."""
    monkeypatch.setenv("ENCSERVE_HEALTH_TOKEN", TOKEN)
    made = []

    def make(**changes):
        from encserve_server.steps.cascade_model import TritonPythonModel

        settings = SETTINGS | changes
        for role in ("small", "large"):
            manifest = tmp_path / role / "1" / "manifest.json"
            manifest.parent.mkdir(parents=True)
            manifest.write_text(role)
            certificate = hashlib.sha256(role.encode()).hexdigest()
            settings.setdefault(role, {"model": role, "version": 1, "certificate": certificate})
        folder = tmp_path / "both_cascade" / "3"
        folder.mkdir(parents=True)
        (folder / "settings.json").write_text(json.dumps(settings))
        step = TritonPythonModel()
        step.initialize({**ARGS, "model_repository": str(folder.parent)})
        made.append(step)
        return step

    yield make
    pipelines.goes_on.set()
    for step in made:
        step.finalize()
