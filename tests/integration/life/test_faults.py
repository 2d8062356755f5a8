"""What a caller and an operator see when something breaks. Each test breaks a server of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from serving import poison_word, serve_config
from told_metrics import wait_for_metric

from encserve import Client, InferenceFailed, Retry, Unavailable
from encserve_server.errors import RepositoryError, StartFailed
from encserve_server.launcher import server as launcher
from encserve_server.launcher.server import TritonServer

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


def status_over_http(server, model, text):
    """The status of the answer to a request about one text."""
    body = {"inputs": [{"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [text]}]}
    request = urllib.request.Request(f"{server.http_url}/v2/models/{model}/infer", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_what_is_not_finite_is_an_error_and_a_count_and_fails_no_neighbour(repository, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(repository, models, ignore=shutil.ignore_patterns(".*", "prompted*"))
    poisons = {"zebra": np.nan, "tiger": np.inf}
    for word, poison in poisons.items():
        poison_word(models, "minilm", word, poison)
    with TritonServer(serve_config(models)) as server, Client(server.grpc_url) as client:
        for word in poisons:
            holds_nan = r"for texts \[1, 3\] of this request holds NaN or infinity"
            with pytest.raises(InferenceFailed, match=holds_nan) as failed:
                client.embed(["a horse", f"a {word}", "a cow", word], model="minilm")
            assert failed.value.status == "INTERNAL"
            assert np.isfinite(client.embed(["a horse", "a cow"], model="minilm").vectors).all()
        assert status_over_http(server, "minilm", "zebra") == 500
        wait_for_metric(server, "encserve_nonfinite_texts", 5)


FULL_SHARED_MEMORY = """
import os, signal, sys, threading
from pathlib import Path
sys.path[:0] = sys.argv[1].split(":")
from serving import serve_config
from encserve import Client, InferenceFailed, Retry, Unavailable
from encserve_server.processes.interruption import interruption
from encserve_server.liveness.supervision import supervise

ballast = Path("/dev/shm/ballast")
room = threading.Event()

def keep_full():
    # A server that is started again meanwhile gives its memory back, and gets none.
    with ballast.open("ab", buffering=0) as file:
        while not room.wait(0.005):
            for size in 2**16, 2**12:
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

def break_it(url):
    try:
        with Client(url, timeout_s=600, retry=Retry(attempts=500, maximum_s=1)) as patient:
            expected = patient.embed(["a text"], model="minilm").vectors
            filling = threading.Thread(target=keep_full)
            filling.start()
            while os.statvfs("/dev/shm").f_bavail:
                room.wait(0.01)
            try:
                with Client(url, timeout_s=60, retry=Retry(attempts=2)) as client:
                    client.embed(["a long text " * 200] * 4096, model="minilm")
                print("answered without room")
            except (InferenceFailed, Unavailable) as error:
                print("refused:", error)
            finally:
                room.set()
                filling.join()
                ballast.unlink()
            assert abs(patient.embed(["a text"], model="minilm").vectors - expected).max() <= 1e-5
            print("answers again")
    finally:
        os.kill(os.getpid(), signal.SIGTERM)

def serving(server):
    if not threads:
        threads.append(threading.Thread(target=break_it, args=(server.grpc_url,)))
        threads[0].start()

threads = []
interruption.follow_signals()
try:
    supervise(serve_config(Path(sys.argv[2]), models=("minilm",), exit_timeout_s=5), report=print, serving=serving)
except KeyboardInterrupt:
    threads[0].join()
assert not list(Path("/dev/shm").glob("encserve_*"))
print("left nothing")
"""


MODULES = ":".join(str(folder) for folder in Path(__file__).parents[1:3])


def test_full_shared_memory_is_an_error_and_no_hang_and_passes(repository):
    """In a mount namespace of its own, where /dev/shm holds 64 MiB, with supervision: an error that is none of time,
    and with room again the right answer, of the same server or of one that was started again."""
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("a /dev/shm of our own takes root and unshare")
    inside = 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"'
    program = [sys.executable, "-c", FULL_SHARED_MEMORY, MODULES, str(repository)]
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", inside, "sh", *program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    print(ended.stdout)
    assert ended.returncode == 0
    outcomes = [line.partition(":")[0] for line in ended.stdout.splitlines()]
    assert [line for line in outcomes if line in ("answered without room", "refused")] == ["refused"]
    assert {"answers again", "left nothing"} <= set(outcomes)
