"""What adapters cost: one graph with all of them, beside that of the checkpoint alone and one for each. One run.

    python -m benchmarks.cost.adapters [--adapters 1 4 16] [--rank 8] [--rounds 7] [--texts 192] [--json FILE]

The graphs as an export traces them, in ONNX Runtime as the encode step opens them, on one thread, cut into micro-
batches as there. The same texts go to the checkpoint without adapters, to one graph with K adapters, of which each
text has one, and K times a share of them to the checkpoint, as to K pipelines with one adapter merged into each. In
turns, and as ratios to the checkpoint of the same round: medians, and the least and the greatest. What is compared
are processor seconds, which other programs on the machine change little. Beside them what the graphs take, which is
what their weights take in memory.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import save_file

from benchmarks.exported import CHECKPOINT
from benchmarks.machine import describe_machine
from benchmarks.workloads import make_workload
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import TOKEN_BUDGET, ExportConfig
from encserve_export.engines.engine import ORDINARY
from encserve_export.publication.steps import follows_of, trace
from encserve_server.steps.encode.network.onnxruntime_network import OnnxRuntimeNetwork
from encserve_server.steps.encode.network.packed_session import PackedSession

TARGETS = ("query", "key", "value", "dense")
"""The linear layers that are adapted: all of the encoder's."""

Rows = Sequence[NDArray[np.int64]]
"""The tokens of each text."""


def main() -> None:
    """Trace, measure, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--adapters", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--texts", type=int, default=192)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="encserve-adapters-") as work:
        ratios, mib = measure(Path(work), arguments)
    print(machine)
    for way, each in ratios.items():
        print(f"{way:<28}{np.median(each):8.3f} ({min(each):.3f} to {max(each):.3f}){mib[way]:10.1f} MiB of graphs")
    if arguments.json:
        figures = {"machine": machine, "rank": arguments.rank, "processor_seconds_ratio": ratios, "mib": mib}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def measure(work: Path, arguments: argparse.Namespace) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Way -> processor seconds over those of the checkpoint alone, of each round; and way -> MiB of its graphs."""
    folders = [_adapter(work / f"a{number}", arguments.rank, seed=number) for number in range(max(arguments.adapters))]
    rows = _rows(make_workload("mixed", CHECKPOINT).texts[: arguments.texts])
    plain, plain_mib = _graph(work / "plain", [])
    ways = {"checkpoint": (plain, 0, 1)}
    mib = {"checkpoint": plain_mib}
    for count in arguments.adapters:
        graph, mib[f"{count} in one graph"] = _graph(work / f"with{count}", folders[:count])
        ways[f"{count} in one graph"] = (graph, count, 1)
        ways[f"{count} graphs"], mib[f"{count} graphs"] = (plain, 0, count), count * plain_mib
    ratios: dict[str, list[float]] = defaultdict(list)
    for asked in ways.values():
        seconds(rows, *asked)  # the first run makes what later ones have
    for _ in range(arguments.rounds):
        took = {way: seconds(rows, *ways[way]) for way in random.sample([*ways], len(ways))}
        for way, each in took.items():
            ratios[way].append(round(each / took["checkpoint"], 3))
    return {way: ratios[way] for way in ways}, mib


def seconds(rows: Rows, session: PackedSession, adapters: int, shares: int) -> float:
    """Processor seconds of all texts, in so many `shares`, each with micro-batches of its own."""
    numbers = np.arange(len(rows)) % max(adapters, 1) + 1
    began_s = time.process_time()
    for share in range(shares):
        own = list(range(share, len(rows), shares))
        for group in session.groups(np.array([len(rows[text]) for text in own]), workers=1):
            texts = [own[place] for place in group]
            columns = {"input_ids": [rows[text] for text in texts]}
            if adapters:
                columns["adapter_ids"] = [np.full(len(rows[text]), numbers[text]) for text in texts]
            session.run_pack(columns, ["sentence_embedding"])
    return time.process_time() - began_s


def _rows(texts: Sequence[str]) -> Rows:
    tokenizer = transformers.AutoTokenizer.from_pretrained(CHECKPOINT)
    return [np.array(tokenizer(text, truncation=True, max_length=256)["input_ids"], np.int64) for text in texts]


def _adapter(folder: Path, rank: int, *, seed: int) -> Path:
    """An adapter of random numbers: what it computes takes as long whatever they are."""
    generator = torch.Generator().manual_seed(seed)
    folder.mkdir()
    tensors = {}
    for name, layer in transformers.AutoModel.from_pretrained(CHECKPOINT).named_modules():
        if isinstance(layer, torch.nn.Linear) and name.rpartition(".")[2] in TARGETS and "pooler" not in name:
            key = f"base_model.model.{name}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(rank, layer.in_features, generator=generator) * 0.02
            tensors[f"{key}.lora_B.weight"] = torch.randn(layer.out_features, rank, generator=generator) * 0.02
    save_file(tensors, folder / "adapter_model.safetensors")
    stated = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(stated))
    return folder


def _graph(folder: Path, adapters: Sequence[Path]) -> tuple[PackedSession, float]:
    """The checkpoint's graph with `adapters`, opened, and its MiB."""
    named = {adapter.name: str(adapter) for adapter in adapters}
    checkpoints = {"": load_checkpoint(ExportConfig(checkpoint=str(CHECKPOINT), name="minilm", adapters=named))}
    trace(checkpoints, ORDINARY, folder)
    network = OnnxRuntimeNetwork(folder / "model.onnx", {}, side_by_side=1)
    session = PackedSession(network, follows=follows_of(checkpoints), token_budget=TOKEN_BUDGET)
    return session, sum(file.stat().st_size for file in folder.iterdir()) / 2**20


if __name__ == "__main__":
    main()
