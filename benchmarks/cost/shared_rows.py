"""What shared rows spare and cost: two real servers behind a balancer, asked about the same texts without memory, each
with its own, and with a cache that both share.

    python -m benchmarks.cost.shared_rows [--texts 4000] [--repeats 0,0.25,0.5,0.75] [--words 0] [--json FILE]

Texts are drawn from the sentences of encserve's own corpus: with the chance `--repeats` one of them by Zipf's law (the
k-th in a fixed random order with a weight of 1 / k), which may have come before, and else one with a number before
it, which has not. Each request has eight, and goes to either server by chance, the same in all three ways. `--words`
repeats each text until it has so many words. What counts are the processor seconds of the servers with all their
steps, and of the cache; the client is not counted. Beside them stands what the planner counts for the same texts.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import exported
from benchmarks.machine import describe_machine
from benchmarks.processes import cost_of
from encserve import Client
from encserve_export.texts.parts import Part, corpus_of
from encserve_loadtest.fleet.repeats import count_repeats
from encserve_server.config import ServeConfig
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.server import TritonServer
from encserve_server.steps.encode.recent_rows import SETTING as RECENT_ROWS

SERVERS, AT_ONCE, WARM_UP = 2, 8, 64
OWN_MIB, NO_MIB = "64", "0"
TOLD_S = 2.0
"""In which rows are kept, by a thread of its own, and what happened is told."""
WAYS = ("no memory", "own memory", "own and shared")


def main() -> None:
    """Export, ask in each way for each share of repeats, print."""
    parser = argparse.ArgumentParser(prog="benchmarks.cost.shared_rows", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--texts", type=int, default=4_000)
    parser.add_argument("--repeats", default="0,0.25,0.5,0.75", help="chances that a text is one of the corpus")
    parser.add_argument("--words", type=int, default=0, help="repeat each text until it has so many words")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    machine, found = describe_machine(), []
    print(machine)
    with tempfile.TemporaryDirectory() as work:
        repository = exported.pipeline(Path(work))
        for chance in map(float, arguments.repeats.split(",")):
            texts = draw(arguments.texts, chance, arguments.words)
            found.append({"repeats": chance, "planner": counted_by_the_planner(texts)} | measure(texts, repository))
            show(found[-1], len(texts))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "found": found}, indent=2) + "\n")


def draw(count: int, chance: float, words: int) -> list[str]:
    """The texts, in their order."""
    draws = np.random.default_rng(0)
    known = [each.text for part in Part for each in corpus_of(part).texts if each.domain != "log"]
    weights = 1 / np.arange(1, len(known) + 1)
    order = draws.permutation(len(known))
    chosen = order[draws.choice(len(known), count, p=weights / weights.sum())]
    repeats = draws.random(count) < chance
    texts = [
        known[place] if old else f"{number} {known[place]}"
        for number, (place, old) in enumerate(zip(chosen, repeats, strict=True))
    ]
    return [lengthened(text, words) for text in texts]


def lengthened(text: str, words: int) -> str:
    """`text`, again and again until it has so many words."""
    return " ".join([text] * (1 + words // max(1, len(text.split())))) if words else text


def counted_by_the_planner(texts: Sequence[str]) -> dict[str, float]:
    """What `encserve plan --trace` says of the texts."""
    numbers = np.unique(np.array(texts), return_inverse=True)[1].astype(np.int64)
    sizes = np.array([len(text.encode()) for text in texts])
    repeats = count_repeats("drawn", numbers, sizes, replicas=SERVERS, texts_per_request=AT_ONCE)
    return {"alone": round(repeats.alone.texts, 3), "together": round(repeats.together.texts, 3)}


def measure(texts: Sequence[str], repository: Path) -> dict[str, Any]:
    """Processor seconds and events of each way."""
    ways: dict[str, Any] = {}
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
            os.environ[RECENT_ROWS] = NO_MIB if way == "no memory" else OWN_MIB
            pids = []
            if way == "own and shared":
                port, pid = opened.enter_context(cache(Path(folder)))
                pids.append(pid)
                secret = Path(folder) / "secret"
                secret.write_text("a secret of both servers")
                os.environ["ENCSERVE_SHARED_ROWS_URL"] = f"valkey://127.0.0.1:{port}"
                os.environ["ENCSERVE_SHARED_ROWS_SECRET_FILE"] = str(secret)
            try:
                servers = [opened.enter_context(server(repository)) for _ in range(SERVERS)]
            finally:
                os.environ.pop("ENCSERVE_SHARED_ROWS_URL", None)
                os.environ.pop("ENCSERVE_SHARED_ROWS_SECRET_FILE", None)
            pids += [each.pid for each in servers]
            ways[way] = ask(texts, servers, pids)
    return {"ways": ways}


@contextmanager
def server(repository: Path) -> Iterator[TritonServer]:
    """A server of the pipeline."""
    http_port, grpc_port, metrics_port = free_ports(3)
    config = ServeConfig(
        repository=repository,
        models=(exported.MODEL,),
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
    )
    with TritonServer(config) as started:
        yield started


@contextmanager
def cache(folder: Path) -> Iterator[tuple[int, int]]:
    """A Valkey or a Redis: its port and its process."""
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        raise SystemExit("neither valkey-server nor redis-server is here: apt-get install redis-server")
    (port,) = free_ports(1)
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    time.sleep(1)
    try:
        yield port, process.pid
    finally:
        process.kill()
        process.wait()


def ask(texts: Sequence[str], servers: Sequence[TritonServer], pids: Sequence[int]) -> dict[str, Any]:
    """Ask all texts, and say what that took of processors beside what was there before."""
    draws = np.random.default_rng(1)
    with ExitStack() as opened:
        clients = [opened.enter_context(Client(each.grpc_url, timeout_s=600)) for each in servers]
        for place, client in enumerate(clients):
            client.embed([f"warm up {each} of server {place}" for each in range(WARM_UP)], model=exported.MODEL)
        time.sleep(TOLD_S)
        before = [processor_s(pid) for pid in pids]
        counted = [events(each) for each in servers]
        for begin in range(0, len(texts), AT_ONCE):
            clients[draws.integers(SERVERS)].embed(texts[begin : begin + AT_ONCE], model=exported.MODEL)
        time.sleep(TOLD_S)
        spent = [processor_s(pid) - begun for pid, begun in zip(pids, before, strict=True)]
    told: dict[str, float] = {}
    for each, begun in zip(servers, counted, strict=True):
        for event, number in events(each).items():
            told[event] = told.get(event, 0) + number - begun.get(event, 0)
    of_servers = spent[-SERVERS:]
    return {
        "servers_s": round(sum(of_servers), 2),
        "cache_s": round(sum(spent[:-SERVERS]), 2),
        "events": {event: int(number) for event, number in told.items() if number},
    }


def processor_s(pid: int) -> float:
    """Of a process and of all that it started."""
    cost = cost_of(pid)
    return cost.own_cpu_s + cost.children_cpu_s


def events(of: TritonServer) -> dict[str, float]:
    """What happened to rows of the encode step so far, by event."""
    with urllib.request.urlopen(of.metrics_url) as answer:
        lines = answer.read().decode()
    found = re.findall(r"encserve_shared_rows\{([^}]*)\} ([0-9.e+]+)", lines)
    return {event[1]: float(number) for labels, number in found if (event := re.search(r'event="([\w ]+)"', labels))}


def show(found: dict[str, Any], texts: int) -> None:
    """Print processor milliseconds a text."""
    planner = found["planner"]
    print(
        f"repeats {found['repeats']}: the planner counts {planner['alone']:.0%} that came before to the same server, "
        f"{planner['together']:.0%} to either"
    )
    for way, told in found["ways"].items():
        of_all = told["servers_s"] + told["cache_s"]
        print(
            f"  {way:<16}{1000 * of_all / texts:8.2f} ms a text, of it the cache "
            f"{1000 * told['cache_s'] / texts:.2f}   {told['events']}"
        )


if __name__ == "__main__":
    main()
