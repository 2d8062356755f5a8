"""The gateway as a process of its own, before the server that all tests share."""

import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def gateway(server):
    """Its address, such as "http://127.0.0.1:4711". The pipelines are `minilm` and `prompted`; `strict` refuses what
    `minilm` would cut, and `small` gives vectors of 8 numbers."""
    command = [sys.executable, "-m", "encserve", "gateway", "--url", server.grpc_url, "--port", "0"]
    aliases = ["--alias", "strict=minilm,truncate=error", "--alias", "small=minilm,dimensions=8"]
    with subprocess.Popen([*command, *aliases], stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().split()[-1]
        process.terminate()
        assert process.wait(30) == 0
