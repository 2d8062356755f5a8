"""Mixed traffic for a while: nothing of the server may grow. `--soak-s` says how long."""

import random
import threading
import time
from pathlib import Path

import pytest
from passages import mixed_texts
from serving import serve_config

from encserve import Client, EncserveError, InvalidInput, Retry
from encserve_server.launcher.runtime_folder import SHARED_MEMORY
from encserve_server.launcher.server import TritonServer

WARM_UP_SHARE = 0.4
"""Of the time: memory pools grow until they have seen every kind of request."""
MEMORY_GROWTH = 1.10


def holdings(server):
    """What the server's processes hold: bytes, file descriptors, threads, and bytes of shared memory."""
    pids = [server.pid, *server.stub_pids()]
    return {
        "resident": sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for pid in pids),
        "descriptors": sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids),
        "threads": sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in pids),
        "shared": sum(path.stat().st_size for path in SHARED_MEMORY.glob(f"{server.folder.name}_*")),
    }


def visit(url, texts, done, rng, failures):
    """One caller: singles and lists, both lanes, wrong requests, short deadlines, calls given up half way."""
    while not done.is_set():
        with Client(url, timeout_s=120, retry=Retry(attempts=50)) as client:
            for _ in range(50):
                try:
                    match rng.randrange(6):
                        case 0 | 1:
                            client.embed([rng.choice(texts)], model="minilm")
                        case 2:
                            client.embed(rng.choices(texts, k=40), model="minilm", priority="bulk")
                        case 3:
                            next(client.embed_iter(iter(texts), model="minilm"))
                        case 4:
                            with pytest.raises(InvalidInput):
                                client.embed(["x " * 1000], model="minilm", truncate="error")
                        case 5:
                            with pytest.raises(EncserveError):
                                client.embed(rng.choices(texts, k=64), model="minilm", timeout_s=0.001)
                except BaseException as error:
                    failures.append(error)
                    done.set()
                if done.is_set():
                    return


@pytest.mark.slow
def test_nothing_grows(repository, request):
    seconds = request.config.getoption("--soak-s")
    texts = mixed_texts(200, longest_bytes=1500, seed=11)
    failures, done = [], threading.Event()
    with TritonServer(serve_config(repository, models=("minilm",))) as server:
        callers = [
            threading.Thread(target=visit, args=(server.grpc_url, texts, done, random.Random(seed), failures))
            for seed in range(4)
        ]
        for caller in callers:
            caller.start()
        begin_s = time.monotonic()
        samples = []
        while time.monotonic() - begin_s < seconds and not done.wait(max(1.0, seconds / 60)):
            samples.append(holdings(server))
        done.set()
        for caller in callers:
            caller.join()
    assert failures == []
    warm = samples[int(len(samples) * WARM_UP_SHARE) :]
    half = len(warm) // 2
    print(f"after warming up {warm[0]}, at the end {warm[-1]}")
    for name in warm[0]:
        before, after = (max(sample[name] for sample in part) for part in (warm[:half], warm[half:]))
        # Connections of callers come and go, and each is a descriptor and perhaps a thread.
        allowed = before + 8 if name in ("descriptors", "threads") else before * MEMORY_GROWTH
        assert after <= allowed, f"{name} grew from {before} to {after} in {seconds} s"
