"""What a caller and an operator see when something breaks. Each test breaks a server of its own."""

import os
import shutil
import signal

import numpy as np
import pytest
from serving import serve_config

from encserve import Client, Retry, Unavailable
from encserve_server import server as launcher
from encserve_server.errors import RepositoryError, StartFailed
from encserve_server.server import TritonServer

FEW_RETRIES = Retry(attempts=2)


def test_a_server_killed_in_the_middle_of_a_long_call(repository):
    texts = [f"text number {number}" for number in range(10_000)]
    handed_over = []
    with (
        TritonServer(serve_config(repository, models=("minilm",))) as server,
        Client(server.grpc_url, timeout_s=20, retry=FEW_RETRIES) as client,
    ):
        expected = client.embed(texts[:64], model="minilm").vectors
        parts = client.embed_iter(texts, model="minilm")
        handed_over.append(next(parts))
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(Unavailable) as failed:
            handed_over.extend(parts)
    rows = sum(len(part.vectors) for part in handed_over)
    assert 0 < rows < len(texts)
    assert failed.value.rows_done == rows
    assert f"rows 0 to {rows - 1} of 10000 are done" in str(failed.value)
    assert [part.start for part in handed_over] == list(
        np.cumsum([0, *(len(part.vectors) for part in handed_over)])[:-1]
    )
    assert np.abs(handed_over[0].vectors - expected[: len(handed_over[0].vectors)]).max() <= 1e-5


@pytest.fixture
def damaged(repository, tmp_path):
    """A copy of the repository in which one byte of the tokenizer differs."""
    shutil.copytree(repository, tmp_path / "models", ignore=shutil.ignore_patterns(".*", "prompted*"))
    tokenizer = tmp_path / "models/minilm_tokenize/1/tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes().replace(b"hello", b"hallo", 1))
    return tmp_path / "models"


def test_a_tokenizer_that_is_not_the_certified_one_is_refused_before_the_start(damaged):
    with (
        pytest.raises(RepositoryError, match=r"minilm_tokenize/1/tokenizer\.json.*[0-9a-f]{64}.*[0-9a-f]{64}"),
        TritonServer(serve_config(damaged)),
    ):
        pass


def test_triton_itself_refuses_such_a_tokenizer(damaged, repository, monkeypatch):
    """An operator may start tritonserver without us."""
    certified = launcher.read_pipelines(repository, ("minilm",))
    monkeypatch.setattr(launcher, "read_pipelines", lambda repository, models: certified)
    with (
        pytest.raises(StartFailed, match=r"tokenizer\.json is not the file that was certified"),
        TritonServer(serve_config(damaged, models=("minilm",))),
    ):
        pass
