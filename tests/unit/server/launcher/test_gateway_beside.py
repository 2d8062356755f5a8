"""The gateway beside a server: when it counts as started, that it is started again, and that nothing of it stays."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from encserve_server.config import ServeConfig
from encserve_server.errors import ConfigError, StartFailed
from encserve_server.launcher import gateway
from encserve_server.launcher.gateway import GatewayBeside, gateway_command
from encserve_server.tls import ServerTls

GOOD = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("a word before", flush=True)
print("HTTP     http://127.0.0.1:4711", flush=True)
print("pipelines of 127.0.0.1:8001", flush=True)
print(f"pid {__import__('os').getpid()}", flush=True)
time.sleep(600)
"""


def beside(code, said, *, exit_timeout_s=5):
    return GatewayBeside([sys.executable, "-c", code], exit_timeout_s=exit_timeout_s, report=said.append)


def pids(said, count):
    """The processes that said so, once there were so many."""
    deadline_s = time.monotonic() + 60
    while len(found := [int(line.split()[1]) for line in said if line.startswith("pid ")]) < count:
        assert time.monotonic() < deadline_s, said
        time.sleep(0.01)
    return found


def runs(pid):
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def has_ended(pid):
    """Whether a process that was killed is gone: it closes what it prints to a moment before that."""
    deadline_s = time.monotonic() + 60
    while runs(pid) and time.monotonic() < deadline_s:
        time.sleep(0.001)
    return not runs(pid)


def test_it_listens_when_the_block_begins_and_is_gone_when_it_ends():
    said = []
    with beside(GOOD, said) as running:
        assert running.url == "http://127.0.0.1:4711"
        (pid,) = pids(said, 1)
        assert runs(pid)
    assert has_ended(pid)
    assert said == [f"pid {pid}"]
    running.stop()  # once more is harmless


def test_one_that_dies_is_started_again(monkeypatch):
    monkeypatch.setattr(gateway, "FIRST_PAUSE_S", 0.01)
    said = []
    with beside(GOOD, said):
        (first,) = pids(said, 1)
        os.kill(first, signal.SIGKILL)
        second = pids(said, 2)[1]
        assert runs(second)
        assert has_ended(first)
    assert "starting the gateway again in 0.01 s: it ended with signal SIGKILL" in said
    assert has_ended(second)


def test_pauses_grow_until_one_listens_again(monkeypatch, tmp_path):
    monkeypatch.setattr(gateway, "FIRST_PAUSE_S", 0.01)
    mark = tmp_path / "starts"
    code = f"""
import pathlib
mark = pathlib.Path({str(mark)!r})
starts = len(mark.read_text()) if mark.exists() else 0
mark.write_text("x" * (starts + 1))
if starts in (1, 2):
    raise SystemExit("encserve: error: the port is taken")
{GOOD}"""
    said = []
    with beside(code, said):
        os.kill(pids(said, 1)[0], signal.SIGKILL)
        os.kill(pids(said, 2)[1], signal.SIGKILL)
        pids(said, 3)
    pauses = [line.partition(" s: ")[0].split()[-1] for line in said if line.startswith("starting")]
    assert pauses == ["0.01", "0.02", "0.04", "0.01"]
    assert said.count("encserve: error: the port is taken") == 2


def test_one_that_never_listens_is_an_error_with_its_own_words():
    said = []
    failing = beside("raise SystemExit('encserve: error: gateway needs uvicorn: pip install it')", said)
    with pytest.raises(StartFailed, match="the gateway did not start: gateway needs uvicorn: pip"):
        failing.__enter__()
    assert said == []


def test_one_that_does_not_stop_is_killed_when_its_time_is_over(monkeypatch):
    monkeypatch.setattr(gateway, "EXIT_MARGIN_S", 0)
    said = []
    deaf = GOOD.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
    with beside(deaf, said, exit_timeout_s=1):
        (pid,) = pids(said, 1)
    assert has_ended(pid)


def test_its_command():
    config = ServeConfig(host="0.0.0.0", grpc_port=9001)
    command = gateway_command(config, 81, "--alias 'a b=minilm' --host 0.0.0.0")
    expected = [
        "encserve",
        "gateway",
        "--url=127.0.0.1:9001",
        "--port=81",
        "--alias",
        "a b=minilm",
        "--host",
        "0.0.0.0",
    ]
    assert command[2:] == expected


def test_what_it_cannot_be_asked_for():
    with pytest.raises(ConfigError, match="no words of a shell"):
        gateway_command(ServeConfig(), 8080, "--alias 'a")
    tls = ServerTls(cert=Path("cert"), key=Path("key"))
    with pytest.raises(ConfigError, match="--tls-cert: run `encserve gateway`"):
        gateway_command(ServeConfig(tls=tls), 8080, "")
