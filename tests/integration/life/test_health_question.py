"""What `encserve health` says of a real server: that it answers, or is dead."""

import argparse
import os
import signal

import pytest
from serving import serve_config

from encserve_server import health
from encserve_server.errors import Unhealthy
from encserve_server.launcher.server import TritonServer
from encserve_server.questions import ask


@pytest.fixture
def server(repository):
    with TritonServer(serve_config(repository, models=("minilm",), exit_timeout_s=5)) as server:
        yield server


def run(server):
    parser = argparse.ArgumentParser()
    health.add_arguments(parser)
    return health.run(parser.parse_args(["--url", server.grpc_url, "--model", "minilm"]))


def test_a_dead_step_is_told_from_one_that_answers(server, capsys):
    assert run(server) == 0
    assert capsys.readouterr().out == "minilm version 1 answers\n"
    with server.open_asker(timeout_s=60) as asker:
        ask(asker, server.pipelines[0])
    for pid in server.stub_pids():
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unhealthy, match="minilm does not answer"):
        run(server)
