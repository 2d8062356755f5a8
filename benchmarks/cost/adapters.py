"""What adapters cost: one pipeline with all of them, beside the checkpoint alone and a pipeline for each. One run.

    python -m benchmarks.cost.adapters [--adapters 1 4 16] [--pipelines 4] [--rank 8] [--rounds 7] [--json FILE]

The encode step alone, as it is served, in process. The same texts go to the checkpoint without adapters, to one step
with K adapters, of which each text has one, and to several steps with an adapter merged into each, which share them.
In turns, and as ratios to the checkpoint of the same round: medians, and the least and the greatest. What is compared
are processor seconds, which other programs on the machine change little. Beside them what the graphs take on the disk,
which is what their weights take in memory.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import save_file

from benchmarks.exported import CHECKPOINT
from benchmarks.machine import describe_machine
from benchmarks.workloads import make_workload
from encserve_export.certificate import certificate_texts
from encserve_export.config import ExportConfig
from encserve_export.export import export
from encserve_export.reference.merging import merge
from encserve_server.steps.encode.encoder import Encoder

TARGETS = ("query", "key", "value", "dense")
"""The linear layers that are adapted: all of the encoder's."""
SHARED = 16
"""Texts of a request."""

Pack = Mapping[str, NDArray[np.int64]]


def main() -> None:
    """Export, measure, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--adapters", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--pipelines", type=int, default=4, help="of merged adapters")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    figures: dict[str, object] = {"machine": describe_machine(), "rank": arguments.rank}
    with tempfile.TemporaryDirectory(prefix="encserve-adapters-") as work:
        ratios, mib = measure(Path(work), arguments)
    print(figures["machine"])
    for way, each in ratios.items():
        print(f"{way:<32}{np.median(each):8.3f} ({min(each):.3f} to {max(each):.3f}){mib[way]:10.1f} MiB of graphs")
    if arguments.json:
        arguments.json.write_text(
            json.dumps({**figures, "processor_seconds_ratio": ratios, "mib": mib}, indent=1) + "\n"
        )


def measure(work: Path, arguments: argparse.Namespace) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Way -> processor seconds over those of the checkpoint alone, of each round; and way -> MiB of its graphs."""
    most = max(arguments.adapters)
    folders = [_adapter(work / f"a{number}", arguments.rank, seed=number) for number in range(most)]
    packs = _packs(make_workload("mixed", CHECKPOINT).texts[: arguments.texts])
    steps = {"checkpoint": [_exported(work, "plain")]}
    certificate_texts.SECONDS = 0  # which is not what is measured here
    for count in arguments.adapters:
        named = {folder.name: str(folder) for folder in folders[:count]}
        steps[f"{count} in one pipeline"] = [_exported(work, f"with{count}", adapters=named)]
    merged = [_merged(work, folder) for folder in folders[: arguments.pipelines]]
    steps[f"{len(merged)} pipelines"] = [_exported(work, f"m-{each.name}", checkpoint=each) for each in merged]
    mib = {way: sum(_bytes(folder) for folder in of_way) / 2**20 for way, of_way in steps.items()}
    ratios: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as opened:
        loaded = {
            folder: opened.enter_context(Encoder(folder, environment={"ENCSERVE_INTRA_OP_THREADS": "1"}))
            for folder in dict.fromkeys(folder for of_way in steps.values() for folder in of_way)
        }
        encoders = {way: [loaded[folder] for folder in of_way] for way, of_way in steps.items()}
        for way in encoders:
            seconds(encoders[way], packs, way)  # the first run makes what later ones have
        for _ in range(arguments.rounds):
            took = {way: seconds(encoders[way], packs, way) for way in random.sample([*encoders], len(encoders))}
            for way, each in took.items():
                ratios[way].append(round(each / took["checkpoint"], 3))
    return {way: ratios[way] for way in steps}, mib


def seconds(encoders: Sequence[Encoder], packs: Sequence[Pack], way: str) -> float:
    """Processor seconds of all requests; these go to the steps in turn."""
    count = int(way.split()[0]) if way.endswith("in one pipeline") else 0
    answers: queue.Queue[object] = queue.Queue()
    waiting = defaultdict(list)
    for place, pack in enumerate(packs):
        encoder, tensors = encoders[place % len(encoders)], dict(pack)
        if count:
            numbers = (np.arange(len(pack["lengths"])) + place) % count + 1
            tensors["adapter_ids"] = np.repeat(numbers, pack["lengths"])
        waiting[encoder].append(encoder.request(tensors, outputs=encoder.outputs, answer=answers.put))
    began_s = time.process_time()
    for encoder, requests in waiting.items():
        encoder.put("interactive", requests)
    for _ in packs:
        answer = answers.get(timeout=600)
        if isinstance(answer, Exception):
            raise answer
    return time.process_time() - began_s


def _packs(texts: Sequence[str]) -> list[Pack]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(CHECKPOINT)
    ids = [tokenizer(text, truncation=True, max_length=256)["input_ids"] for text in texts]
    parts = [ids[begin : begin + SHARED] for begin in range(0, len(ids), SHARED)]
    return [
        {"input_ids": np.concatenate(part).astype(np.int64), "lengths": np.array([len(each) for each in part])}
        for part in parts
    ]


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


def _merged(work: Path, adapter: Path) -> Path:
    folder = work / f"merged-{adapter.name}"
    shutil.copytree(CHECKPOINT, folder)
    model = transformers.AutoModel.from_pretrained(folder)
    merge(model, adapter)
    model.save_pretrained(folder)
    return folder


def _exported(
    work: Path, name: str, *, checkpoint: Path = CHECKPOINT, adapters: Mapping[str, str] | None = None
) -> Path:
    """The folder of the encode step of an export."""
    export(ExportConfig(checkpoint=str(checkpoint), name=name, repository=work / "models", adapters=adapters or {}))
    return work / "models" / f"{name}_encode" / "1"


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("model.onnx*"))


if __name__ == "__main__":
    main()
