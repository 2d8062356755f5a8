"""schemathesis on the OpenAPI document and a gateway that listens: an implementation of the standard that is not ours
asks what the document allows and what it does not. It has an environment of its own, which `make soak` makes."""

import subprocess
from pathlib import Path

import pytest
from unit.gateway.listening import listening
from unit.gateway.pipelines import Fake

SCHEMATHESIS = Path(__file__).parents[4] / "build/schemathesis/bin/schemathesis"
EXCLUDED = (
    "positive_data_acceptance",  # a name of a model or a prompt that there is not is allowed by the document
    "ignored_auth",  # this gateway has no keys
)


@pytest.mark.slow  # some thousand requests
@pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="make soak has schemathesis; there is none")
def test_schemathesis_finds_nothing(tmp_path):
    options = [f"--exclude-checks={','.join(EXCLUDED)}", "--max-examples=100", "--seed=1", "--no-color"]
    with listening(Fake().gateway) as port:
        address = f"http://127.0.0.1:{port}/openapi.json"
        command = [SCHEMATHESIS, "run", address, "--checks=all", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1_800, check=False, cwd=tmp_path)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-20_000:]
