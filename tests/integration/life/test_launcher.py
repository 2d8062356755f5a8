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
from host_address import own_address
from own_ports import own_ports
from process_family import exists, family, gone
from toy_repository import write_toy
from toy_server import ask, make_config

from encserve_server.errors import PortTaken, StartFailed, UnsupportedHost
from encserve_server.host.platform import check_host, read_host
from encserve_server.launcher.runtime_folder import SHARED_MEMORY, sweep_stale
from encserve_server.launcher.server import TritonServer

try:
    check_host(read_host())
except UnsupportedHost as refused:
    pytest.skip(str(refused), allow_module_level=True)


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


def test_a_server_on_one_address_of_this_host_is_administered_and_drained_without_tls(tmp_path):
    write_toy(tmp_path)
    lines = []
    with TritonServer(make_config(tmp_path, host=own_address()), probe=ask, report=lines.append) as server:
        with server.open_asker(timeout_s=30) as asker:
            assert [pipeline.name for pipeline in asker.models()] == ["toy"]
        server._load_again("toy_encode")
        (toy,) = server.pipelines
        assert ask(server.grpc_url, toy, "loaded again") == "loaded again"
    assert [line for line in lines if "unloaded" in line or "nobody knows" in line] == []


def test_stops_although_a_request_hangs(tmp_path, traces):
    write_toy(tmp_path)
    with TritonServer(make_config(tmp_path, exit_timeout_s=1), probe=ask) as server:
        pids = [server.pid, *server.stub_pids()]
        with triton.InferenceServerClient(server.grpc_url) as client:
            tensor = triton.InferInput("text", [1, 1], "BYTES")
            tensor.set_data_from_numpy(np.array([["sleep"]], dtype=np.object_))
            client.async_infer("toy", [tensor], callback=lambda result, error: None)
            time.sleep(0.5)
    # The request takes an hour: whoever waits for it does not come here.
    assert not any(map(exists, pids))
    assert traces(os.getpid()) == set()


def test_says_why_a_model_did_not_load(tmp_path, traces):
    write_toy(tmp_path, initialize="raise ValueError('these weights are bad')")
    config = make_config(tmp_path, exit_timeout_s=1)
    with pytest.raises(StartFailed, match="these weights are bad"), TritonServer(config, probe=ask):
        pass
    assert traces(os.getpid()) == set()


def test_a_step_that_dies_once_it_is_loaded_ends_the_start_at_once(tmp_path, traces):
    later = "import os, threading; threading.Timer(0.5, os._exit, [1]).start()"
    write_toy(tmp_path, initialize=later)
    write_toy(tmp_path, "slow", initialize="time.sleep(2)")
    with pytest.raises(StartFailed, match="the process of toy_encode version 1 has died while the server started"):
        TritonServer(make_config(tmp_path), probe=ask).__enter__()
    assert traces(os.getpid()) == set()


def test_gives_up_after_the_startup_timeout(tmp_path, traces):
    write_toy(tmp_path, initialize="time.sleep(3)")
    server = TritonServer(make_config(tmp_path, startup_timeout_s=0.5), probe=ask)
    with pytest.raises(StartFailed, match=r"--startup-timeout-s 0\.5"), server:
        pass
    assert traces(os.getpid()) == set()


FOLDERS = ":".join(str(folder) for folder in Path(__file__).parents[1:3])
"""Where the modules for toys are, and those that they import."""

SERVE = """
import argparse, sys
sys.path[:0] = sys.argv.pop(1).split(":")
import encserve_server.launcher.server as server
from encserve_server import command
from toy_server import ask
server.TritonServer.__init__.__kwdefaults__["probe"] = ask
parser = argparse.ArgumentParser()
command.add_arguments(parser)
sys.exit(command.run(parser.parse_args()))
"""


@pytest.fixture
def serving(tmp_path):
    """`encserve serve` in a process of its own, once it has said that it is ready."""
    write_toy(tmp_path)
    ports = own_ports(3)
    options = [f"--{name}-port={port}" for name, port in zip(("http", "grpc", "metrics"), ports, strict=True)]
    command = [
        sys.executable,
        "-c",
        SERVE,
        FOLDERS,
        f"--repository={tmp_path}",
        "--exit-timeout-s=2",
        *options,
        "--no-supervise",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as launcher:
        for line in launcher.stdout:
            if line.startswith("Ctrl-C"):
                break
        yield launcher
        launcher.kill()


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
sys.path[:0] = sys.argv[1].split(":")
from toy_server import ask, make_config
from encserve_server.launcher.server import TritonServer
with TritonServer(make_config(Path(sys.argv[2])), probe=ask):
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("stubs", [0, 1, 3])
def test_a_launcher_killed_while_triton_starts_leaves_nothing(tmp_path, number, stubs):
    """The encode step loads for a minute; the launcher dies at once, after the first stub, and after the last."""
    write_toy(tmp_path, initialize="time.sleep(60)")
    command = [sys.executable, "-c", START, FOLDERS, str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as launcher:
        pids, deadline_s = [], time.monotonic() + 150
        while len(pids) < 2 + stubs:  # some of them may be gone again when one looks twice
            assert time.monotonic() < deadline_s, pids
            time.sleep(0.01)
            pids = family(launcher.pid)
        launcher.send_signal(number)
        launcher.wait(50)
    assert gone(pids, within_s=50)  # sooner than the step would have loaded and seen for itself
    sweep_stale()
    assert not list(SHARED_MEMORY.glob(f"encserve_{launcher.pid}_*"))
