"""What `encserve serve` says of what it serves."""

import fcntl
from pathlib import Path
from types import SimpleNamespace

import pytest

from encserve.testing import fake_pipeline
from encserve_repository.work_folder import open_work_folder
from encserve_server.description import describe


@pytest.fixture
def server(tmp_path):
    return SimpleNamespace(
        pipelines=[fake_pipeline(name="minilm"), fake_pipeline(name="other")],
        config=SimpleNamespace(repository=tmp_path / "models", tls=None),
        grpc_url="localhost:8001",
        http_url="localhost:8000",
        metrics_url="http://localhost:8002/metrics",
    )


@pytest.fixture
def log(server):
    file = open_work_folder(server.config.repository).build_log("minilm")
    file.parent.mkdir()
    return file


def test_a_plan_whose_build_failed_is_told_of(server, log):
    assert "plan" not in describe(server)
    log.write_text("loading ... 1 s\nencserve: error: max_abs_diff is 1, must be\n")
    lines = describe(server).splitlines()
    told = "the last plan of minilm that was built in the background was not published: encserve: error: max_abs_diff"
    assert [line for line in lines if "plan" in line] == [f"{told} is 1, must be"]


def test_a_plan_that_is_being_built_is_told_of(server, log):
    with log.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert f"a plan of minilm is being built; {log} has what it says" in describe(server)


def test_a_log_that_cannot_be_read_is_nobodys_trouble(server, log, monkeypatch):
    log.write_text("")

    def forbidden(file, *how):
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(Path, "open", forbidden)
    assert "plan" not in describe(server)
