"""A server that supervision starts again serves what is active by then, and offers nothing else."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from promotions import promotion_on, two_versions

from encserve_repository.config_text import pinned_versions
from encserve_repository.layout import STEPS
from encserve_repository.versions import active_config
from encserve_server.config import ServeConfig
from encserve_server.host.locate import Installation
from encserve_server.launcher import server as launcher
from encserve_server.launcher.server import TritonServer
from encserve_server.liveness import supervision

pytestmark = pytest.mark.usefixtures("answers")
MODELS = ["minilm", *(f"minilm_{step}" for step in STEPS)]


class Enough(BaseException):
    """As a signal ends supervision."""


@pytest.mark.parametrize("act", ["promote", "roll back", "change nothing"])
def test_a_restart_serves_what_was_promoted_since_the_last_start(act, memory, monkeypatch):
    stand_in = two_versions(memory / "models")
    if act == "roll back":
        promotion_on(stand_in).promote(2)
    starts = []

    def start(self, installation, environment):
        """What a Triton loads that starts now: the pipelines by name, and of each model what its file pins."""
        pins = {model: pinned_versions(active_config(stand_in.repository, model)) for model in MODELS}
        starts.append(([(pipeline.name, pipeline.version) for pipeline in self.pipelines], pins))
        if len(starts) == 2:
            raise Enough

    def until_it_fails():
        if act == "promote":
            promotion_on(stand_in).promote(2)
        elif act == "roll back":
            promotion_on(stand_in).rollback()
        return "it died"

    monkeypatch.setattr(
        TritonServer, "_find_triton", lambda self: Installation(executable=Path("/bin/tritonserver"), wheel=None)
    )
    monkeypatch.setattr(TritonServer, "_start", start)
    for name in ("check_pipelines", "read_offers", "check_ports"):
        monkeypatch.setattr(launcher, name, lambda *arguments: None)
    watch = SimpleNamespace(until_it_fails=until_it_fails, states={})
    monkeypatch.setattr(supervision, "Watch", lambda server, report: watch)
    with pytest.raises(Enough):
        supervision.supervise(
            ServeConfig(repository=stand_in.repository), report=lambda line: None, serving=lambda server: None
        )
    before, after = {"promote": (1, 2), "roll back": (2, 1), "change nothing": (1, 1)}[act]
    for (pipelines, pins), version in zip(starts, (before, after), strict=True):
        assert pipelines == [("minilm", str(version))]
        assert pins == {model: [version] for model in MODELS}
