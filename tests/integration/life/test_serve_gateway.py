"""`encserve serve --gateway`: one command, a real server and its gateway, and nothing of either afterwards."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from own_ports import own_ports
from process_family import exists, family, gone

PATIENCE_S = 120
QUESTION = {"model": "small", "input": ["a text", "another"]}


def command(repository, gateway_port, *options):
    ports = zip(("http", "grpc", "metrics"), own_ports(3), strict=True)
    named = [f"--{name}-port={port}" for name, port in ports]
    serve = [sys.executable, "-m", "encserve", "serve", f"--repository={repository}", "--model=minilm", *named]
    return [*serve, "--exit-timeout-s=5", f"--gateway-port={gateway_port}", *options]


@pytest.fixture
def serving(repository):
    """The command, once its server answers, and the address that it says the gateway has."""
    (port,) = own_ports(1)
    started = command(repository, port, "--gateway=--alias small=minilm,dimensions=8")
    with subprocess.Popen(started, stdout=subprocess.PIPE, text=True) as launcher:
        url = ""
        for line in launcher.stdout:
            if line.startswith("gateway"):
                url = line.split()[-1]
            if line.startswith("Ctrl-C"):
                break
        assert url == f"http://127.0.0.1:{port}"
        yield launcher, url
        launcher.kill()


def asked(url):
    """The vectors of a question, once the gateway answers."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            answered = httpx2.post(f"{url}/v1/embeddings", json=QUESTION, timeout=60)
            if answered.status_code == 200:
                return [item["embedding"] for item in answered.json()["data"]]
        except httpx2.TransportError as error:
            answered = error
        assert time.monotonic() < deadline_s, answered
        time.sleep(0.05)


def gateway_pid(launcher):
    """The gateway itself, and not its guard, whose command has that of the gateway at its end."""
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in family(launcher.pid)}
    (found,) = [pid for pid, words in commands.items() if words[1:4] == [b"-m", b"encserve", b"gateway"]]
    return found


def test_both_are_started_again_and_both_are_stopped(serving):
    launcher, url = serving
    first = asked(url)
    assert [len(vector) for vector in first] == [8, 8]
    pid = gateway_pid(launcher)
    os.kill(pid, signal.SIGKILL)
    assert gone([pid], within_s=60)
    assert asked(url) == first
    assert gateway_pid(launcher) != pid
    pids = family(launcher.pid)
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(PATIENCE_S) == 0
    assert not any(map(exists, pids))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--gateway=--alias small"], "the gateway did not start: the alias 'small' has not the form"),
        (["--gateway", "--gateway-port=70000"], "the gateway did not start: port is 70000"),
        (["--gateway"], "the gateway did not start: gateway needs uvicorn: pip install '.[gateway]'"),
    ],
    ids=["options", "port", "extra"],
)
def test_what_is_wrong_with_the_gateway_costs_no_start_of_the_server(repository, tmp_path, options, said):
    environment = dict(os.environ)
    if said.count("uvicorn"):
        missing = tmp_path / "uvicorn.py"
        missing.write_text("raise ModuleNotFoundError(\"No module named 'uvicorn'\", name='uvicorn')")
        environment["PYTHONPATH"] = f"{tmp_path}:{environment.get('PYTHONPATH', '')}"
    started = command(repository, *own_ports(1), *options)
    done = subprocess.run(started, capture_output=True, text=True, env=environment, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stdout == ""
