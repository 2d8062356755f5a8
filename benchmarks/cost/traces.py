"""What traces cost: one server that tells a collector of a share of its requests, beside one that traces nothing.

    python -m benchmarks.cost.traces [--shares 1% 100%] [--rounds 9] [--seconds 4] [--repository FOLDER]

Servers of the same export of MiniLM run side by side: one that traces nothing, one for each share, and with `--twice`
another that traces nothing, which shows what the measurement itself can tell. In each round every server in turn, in
an order that is drawn anew, answers as many requests, of one text each, then of 32. What is compared are the processor
seconds of all processes of the server, which other programs on the machine change less than times, as ratios to the
first server in the same round: medians, and the least and the greatest. The collector takes what comes, in this
process. What a step does for each request that is not traced, which is to decide that, is too little for ratios and is
timed by itself.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.exported import MODEL, pipeline
from benchmarks.machine import describe_machine
from benchmarks.processes import cost_of
from encserve import Client
from encserve_server.candidate_arguments import share_of
from encserve_server.config import ServeConfig
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.server import TritonServer
from encserve_server.steps.encode.recent_rows import SETTING as RECENT_ROWS
from encserve_server.steps.trace.context import Sampler

WORDS = ["who", "where", "what", "river", "sees", "green", "never", "paper", "under", "seven", "light"]
SIZES = (1, 32)
"""Texts of a request."""
CALLERS = 8


class Collector:
    """Takes spans, and counts the bytes of them."""

    def __init__(self) -> None:
        self.url = ""
        self.bytes = 0


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens while the block lasts."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.bytes += len(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield collector
        finally:
            server.shutdown()


def main() -> None:
    """Serve, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shares", type=share_of, nargs="+", default=[0.01, 1.0], metavar="SHARE")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=4.0, help="processor seconds of a server in a round, about")
    parser.add_argument("--twice", action="store_true", help="a second server that traces nothing")
    parser.add_argument("--repository", type=Path, help="with the pipeline minilm, in place of an export")
    arguments = parser.parse_args()
    os.environ[RECENT_ROWS] = "0"
    print(describe_machine())
    print(f"to decide that a request is not traced: {deciding_us():.2f} processor us in each step")
    ways = ["none", *(["none again"] if arguments.twice else []), *(f"{share:.4g}" for share in arguments.shares)]
    with ExitStack() as stack:
        collector = stack.enter_context(collecting())
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="encserve-traces-")))
        repository = arguments.repository or pipeline(work)
        servers = {}
        for way in ways:
            share = None if way.startswith("none") else float(way)
            servers[way] = stack.enter_context(_served(repository, collector.url, share))
        clients = {way: stack.enter_context(Client(each.grpc_url, timeout_s=600)) for way, each in servers.items()}
        for size in SIZES:
            count = _requests(clients["none"], servers["none"], size, arguments.seconds)
            report(size, count, measure(servers, clients, size, count, arguments.rounds))
    print(f"{collector.bytes} bytes of spans")


def deciding_us(count: int = 50_000) -> float:
    """Microseconds that a step takes to decide of a request without a trace whether it has one, and most have not."""
    sampler = Sampler(0.01, bytes(32))
    ids = [f"5f3a9c01d27b44e8-{number}" for number in range(count)]
    began_s = time.process_time()
    for each in ids:
        sampler.context(None, each)
    return (time.process_time() - began_s) / count * 1e6


@contextmanager
def _served(repository: Path, collector: str, share: float | None) -> Iterator[TritonServer]:
    http_port, grpc_port, metrics_port = free_ports(3)
    config = ServeConfig(
        repository=repository,
        models=(MODEL,),
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        otlp="" if share is None else collector,
        trace_share=share or 0.0,
    )
    with TritonServer(config) as server:
        yield server


def _requests(client: Client, server: TritonServer, size: int, seconds: float) -> int:
    """How many requests take about so many processor seconds."""
    ask(client, size, 50)
    took_s = _cpu_s(server)
    ask(client, size, 100)
    return max(50, round(100 * seconds / (_cpu_s(server) - took_s)))


def measure(
    servers: dict[str, TritonServer], clients: dict[str, Client], size: int, count: int, rounds: int
) -> dict[str, list[float]]:
    """Processor seconds of each server in each round."""
    took: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for way in random.sample(list(servers), len(servers)):
            before_s = _cpu_s(servers[way])
            ask(clients[way], size, count)
            took[way].append(_cpu_s(servers[way]) - before_s)
    return took


def ask(client: Client, size: int, count: int) -> None:
    """Ask so many requests, each of texts that no other has."""
    draws = random.Random()
    lock = threading.Lock()
    left = iter(range(count))

    def work() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
                texts = [" ".join(draws.choices(WORDS, k=24)) for _ in range(size)]
            client.embed(texts, model=MODEL)

    threads = [threading.Thread(target=work) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def report(size: int, count: int, took: dict[str, list[float]]) -> None:
    """Print what each way took beside none."""
    base = took.pop("none")
    print(f"{size} texts a request: {1e3 * statistics.median(base) / count:.3f} processor ms without traces")
    for way, seconds in took.items():
        print(f"  {way}: {_ratios([mine / other for mine, other in zip(seconds, base, strict=True)])}")


def _ratios(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.4f} ({min(ratios):.4f} to {max(ratios):.4f})"


def _cpu_s(server: TritonServer) -> float:
    cost = cost_of(server.pid)
    return cost.own_cpu_s + cost.children_cpu_s


if __name__ == "__main__":
    main()
