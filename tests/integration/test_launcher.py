"""The launcher against a real `tritonserver`: nothing of it may stay, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from toy_repository import write_toy
from tritonclient.utils import InferenceServerException

from encserve import PipelineInfo, Unavailable
from encserve_server.config import ServeConfig
from encserve_server.errors import PortTaken, StartFailed, UnsupportedHost
from encserve_server.host import check_host, read_host
from encserve_server.ports import free_ports
from encserve_server.process import child_pids
from encserve_server.runtime_folder import SHARED_MEMORY, sweep_stale
from encserve_server.server import TritonServer

try:
    check_host(read_host())
except UnsupportedHost as refused:
    pytest.skip(str(refused), allow_module_level=True)


def ask(grpc_url: str, pipeline: PipelineInfo, text: str = "ready") -> str:
    with triton.InferenceServerClient(grpc_url) as client:
        tensor = triton.InferInput("text", [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[text]], dtype=np.object_))
        try:
            return client.infer(pipeline.name, [tensor], client_timeout=30).as_numpy("answer")[0, 0].decode()
        except InferenceServerException as error:
            raise Unavailable(str(error)) from error


def make_config(repository: Path, **options: object) -> ServeConfig:
    http_port, grpc_port, metrics_port = free_ports(3)
    ports = {"http_port": http_port, "grpc_port": grpc_port, "metrics_port": metrics_port}
    return ServeConfig(**{"repository": repository, **ports, "startup_timeout_s": 180, "exit_timeout_s": 5, **options})


def exists(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids: list[int], within_s: float) -> bool:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if not any(map(exists, pids)):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def traces():
    """What a launcher holds in shared memory, without that of the server which other tests share."""

    def of(launcher_pid: int) -> set[str]:
        return {path.name for path in SHARED_MEMORY.glob(f"encserve_{launcher_pid}_*")}

    others = of(os.getpid())
    return lambda launcher_pid: of(launcher_pid) - others


def test_serves_and_leaves_nothing(tmp_path, traces):
    write_toy(tmp_path)
    lines = []
    with TritonServer(make_config(tmp_path), probe=ask, report=lines.append) as server:
        (toy,) = server.pipelines
        assert ask(server.grpc_url, toy, "Grüße") == "Grüße"
        pids = [server.pid, *server.stub_pids()]
        assert len(pids) == 4
        assert len(traces(os.getpid())) == 4  # the lock and three regions
        sweep_stale()  # a live server is not stale
        assert len(traces(os.getpid())) == 4
        taken = make_config(tmp_path, grpc_port=server.config.grpc_port)
        with pytest.raises(PortTaken, match=f"port {taken.grpc_port} .* --grpc-port"), TritonServer(taken, probe=ask):
            pass
    assert not any(map(exists, pids))
    assert traces(os.getpid()) == set()
    assert not any("CUDA" in line or "NVML" in line or "DCGM" in line for line in lines), lines


def test_stops_although_a_request_hangs(tmp_path, traces):
    write_toy(tmp_path)
    with TritonServer(make_config(tmp_path, exit_timeout_s=1), probe=ask) as server:
        pids = [server.pid, *server.stub_pids()]
        with triton.InferenceServerClient(server.grpc_url) as client:
            tensor = triton.InferInput("text", [1, 1], "BYTES")
            tensor.set_data_from_numpy(np.array([["sleep"]], dtype=np.object_))
            client.async_infer("toy", [tensor], callback=lambda result, error: None)
            time.sleep(0.5)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 50  # the request takes a minute
    assert not any(map(exists, pids))
    assert traces(os.getpid()) == set()


def test_says_why_a_model_did_not_load(tmp_path, traces):
    write_toy(tmp_path, initialize="raise ValueError('these weights are bad')")
    config = make_config(tmp_path, exit_timeout_s=1)
    with pytest.raises(StartFailed, match="these weights are bad"), TritonServer(config, probe=ask):
        pass
    assert traces(os.getpid()) == set()


def test_gives_up_after_the_startup_timeout(tmp_path, traces):
    write_toy(tmp_path, initialize="time.sleep(3)")
    server = TritonServer(make_config(tmp_path, startup_timeout_s=0.5), probe=ask)
    with pytest.raises(StartFailed, match=r"--startup-timeout-s 0\.5"), server:
        pass
    assert traces(os.getpid()) == set()


SERVE = """
import argparse, sys
sys.path.insert(0, sys.argv.pop(1))
import encserve_server.server as server
from encserve_server import command
from test_launcher import ask
server.TritonServer.__init__.__kwdefaults__["probe"] = ask
parser = argparse.ArgumentParser()
command.add_arguments(parser)
sys.exit(command.run(parser.parse_args()))
"""


@pytest.fixture
def serving(tmp_path):
    """`encserve serve` in a process of its own, once it has said that it is ready."""
    write_toy(tmp_path)
    ports = free_ports(3)
    options = [f"--{name}-port={port}" for name, port in zip(("http", "grpc", "metrics"), ports, strict=True)]
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", SERVE, here, f"--repository={tmp_path}", "--exit-timeout-s=2", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as launcher:
        for line in launcher.stdout:
            if line.startswith("Ctrl-C"):
                break
        yield launcher
        launcher.kill()


def family(pid: int) -> list[int]:
    children = child_pids(pid)
    return [*children, *(descendant for child in children for descendant in family(child))]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_command(serving, number, traces):
    pids = family(serving.pid)
    assert len(pids) == 5  # the guard, Triton and three steps
    serving.send_signal(number)
    assert serving.wait(120) == 0
    assert not any(map(exists, pids))
    assert traces(serving.pid) == set()


def test_the_death_of_the_server_ends_the_command(serving, traces):
    _, server_pid, *stubs = family(serving.pid)
    os.kill(server_pid, signal.SIGKILL)
    assert serving.wait(120) == 1
    assert gone(stubs, within_s=60)
    assert traces(serving.pid) == set()


def test_the_server_dies_with_the_command(serving, traces):
    pids = family(serving.pid)
    assert len(pids) == 5  # the guard, Triton and three steps
    serving.kill()
    serving.wait()
    assert gone(pids, within_s=60)
    assert any(stem.startswith(f"encserve_{serving.pid}_") for stem in sweep_stale())
    assert traces(serving.pid) == set()


START = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_launcher import ask, make_config
from encserve_server.server import TritonServer
with TritonServer(make_config(Path(sys.argv[2])), probe=ask):
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("stubs", [0, 1, 3])
def test_a_launcher_killed_while_triton_starts_leaves_nothing(tmp_path, number, stubs):
    """The encode step loads for a minute; the launcher dies at once, after the first stub, and after the last."""
    write_toy(tmp_path, initialize="time.sleep(60)")
    command = [sys.executable, "-c", START, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as launcher:
        deadline_s = time.monotonic() + 150
        while time.monotonic() < deadline_s and len(family(launcher.pid)) < 2 + stubs:
            time.sleep(0.01)
        pids = family(launcher.pid)
        assert len(pids) >= 2 + stubs
        launcher.send_signal(number)
        launcher.wait(50)
    assert gone(pids, within_s=50)  # sooner than the step would have loaded and seen for itself
    sweep_stale()
    assert not list(SHARED_MEMORY.glob(f"encserve_{launcher.pid}_*"))
