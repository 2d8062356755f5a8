"""Stopping a server: what is in flight has its time, and nothing stays, whatever fails meanwhile."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from encserve_repository.serving import is_served, marked_as_served
from encserve_server.config import ServeConfig
from encserve_server.errors import StartFailed
from encserve_server.launcher import server as launcher
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.runtime_folder import create_runtime_folder
from encserve_server.launcher.server import TritonServer

EXIT_TIMEOUT_S = 3_600


@pytest.fixture
def running(tmp_path, monkeypatch):
    """A server that seems to run; `stops` has the time that its process was given to stop."""
    monkeypatch.setattr("encserve_server.launcher.runtime_folder.SHARED_MEMORY", tmp_path)
    repository = tmp_path / "models"
    repository.mkdir()
    http_port, grpc_port, metrics_port = free_ports(3)
    ports = {"http_port": http_port, "grpc_port": grpc_port, "metrics_port": metrics_port}
    server = TritonServer(
        ServeConfig(repository=repository, exit_timeout_s=EXIT_TIMEOUT_S, **ports), report=lambda line: None
    )
    server.stops = []
    server._held.enter_context(marked_as_served(repository))
    server._folder = create_runtime_folder()
    server._held.callback(server._folder.remove)
    server._process = SimpleNamespace(is_alive=True, stop=server.stops.append)
    yield server
    server.stop()


def interrupt(*given):
    raise KeyboardInterrupt


def test_requests_have_their_time_although_the_door_cannot_be_told(running):
    """As where the disk has no room for the file that tells it."""
    shutil.rmtree(running.folder)
    running.stop()
    (left_s,) = running.stops
    assert left_s > EXIT_TIMEOUT_S / 2


def test_a_second_signal_ends_them_at_once(running, monkeypatch):
    monkeypatch.setattr(launcher, "drain", interrupt)
    with pytest.raises(KeyboardInterrupt):
        running.stop()
    assert running.stops == [0.0]
    assert not is_served(running.config.repository)


def test_what_cannot_be_removed_keeps_neither_repository_nor_lock(running, monkeypatch):
    lock_fd = running._folder.lock_fd
    region = Path(running.config.repository.parent, f"{running._folder.shm_prefix}region")
    region.mkdir()  # which is no file to be unlinked
    with pytest.raises(OSError, match="region"):
        running.stop(at_once=True)
    assert not is_served(running.config.repository)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(lock_fd)


def test_a_server_that_does_not_start_is_not_drained(running, monkeypatch):
    """Nothing is in flight: a signal while it loads, or a timeout of the start, ends it at once."""

    def start():
        raise StartFailed("took more than 120 s")

    monkeypatch.setattr(launcher, "drain", interrupt)
    monkeypatch.setattr(running, "_prepare", tuple)
    monkeypatch.setattr(running, "_start", start)
    with pytest.raises(StartFailed), running:
        pass
    assert running.stops == [0.0]
