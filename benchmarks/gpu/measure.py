"""One checkpoint on the card: the certified graph and PyTorch, one after the other, on the same texts.

    python -m benchmarks.gpu.measure FILE --checkpoint FOLDER --peak FLOPS_PER_S [--pipeline FOLDER] [--rehearse]

Writes JSON to FILE: for each system tokens/s, the share of the card's products that they are (MFU), p50 of one text,
the memory that it took, and how far its vectors are from those of PyTorch in FP32 with padding. A system that does not
run stands there with the reason.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.card import synchronize
from benchmarks.gpu.networks import LONGEST
from benchmarks.gpu.systems import CannotRun, Encode, Ids, Vectors, certified_graph, packed_varlen, padded_sdpa
from benchmarks.roofline.linear_layers import LinearLayers

CERTIFIED, SDPA, VARLEN = "encserve fp16", "torch bf16, SDPA, padded", "torch bf16, flash attention, packed"
ONE_TEXT = 32
"""Tokens of the text whose latency is measured."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is measured."""

    texts: int
    at_least_s: float
    single_calls: int


REAL = Effort(texts=4096, at_least_s=3.0, single_calls=200)
REHEARSAL = Effort(texts=32, at_least_s=0.05, single_calls=5)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.gpu.measure", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--pipeline", type=Path, help="NAME in the model repository; without it PyTorch alone")
    parser.add_argument(
        "--peak", type=float, required=True, help="products of the card in 16 bits, operations a second"
    )
    parser.add_argument("--rehearse", action="store_true")
    arguments = parser.parse_args()
    device, effort = ("cpu", REHEARSAL) if arguments.rehearse else ("cuda", REAL)
    config = json.loads((arguments.checkpoint / "config.json").read_text())
    ids = make_texts(effort.texts, config["vocab_size"])
    network = LinearLayers.of_config(config)
    systems: dict[str, AbstractContextManager[Encode]] = {}
    if arguments.pipeline is not None:
        systems[CERTIFIED] = certified_graph(arguments.pipeline, device)
    systems[SDPA] = padded_sdpa(arguments.checkpoint, device)
    systems[VARLEN] = packed_varlen(arguments.checkpoint, device)
    reference = _reference(arguments.checkpoint, device, ids)
    _give_back(device)
    found: dict[str, Any] = {"texts": len(ids), "tokens": int(sum(map(len, ids))), "systems": {}}
    for name, system in systems.items():
        found["systems"][name] = measure(system, ids, reference, network, arguments.peak, device, effort)
        arguments.file.write_text(json.dumps(found, indent=1) + "\n")  # what follows may run out of time
        print(name, json.dumps(found["systems"][name]), flush=True)


def make_texts(count: int, vocabulary: int) -> Ids:
    """Random token ids in texts of lognormal lengths with a mean of about 35 tokens, as `mixed` of `make bench`."""
    rng = np.random.default_rng(0)
    lengths = rng.lognormal(3.22, 0.8, count).astype(int).clip(3, LONGEST)
    return [rng.integers(5, vocabulary, length) for length in lengths]


def measure(
    system: AbstractContextManager[Encode],
    ids: Ids,
    reference: Vectors,
    network: LinearLayers,
    peak: float,
    device: str,
    effort: Effort,
) -> dict[str, Any]:
    """The figures of one system, or why it has none."""
    before = _used_bytes(device)
    try:
        asked = _ask(system, ids, device, effort)
    except CannotRun as error:
        return {"not measured": str(error)}
    except Exception as error:  # of one system; the others can still be measured
        return {"not measured": f"{type(error).__name__}: {error}"[:400]}
    finally:
        _give_back(device)
    tokens_per_s = sum(map(len, ids)) / float(np.median(asked.passes_s))
    return {
        "tokens_per_s": round(tokens_per_s),
        "tokens_per_s_of_passes": [round(sum(map(len, ids)) / each) for each in asked.passes_s],
        "mfu": round(tokens_per_s * flops_per_token(network, ids) / peak, 4),
        "p50_ms_of_one_text": round(float(np.median(asked.alone_s)) * 1e3, 3),
        "memory_mib": round((asked.used_bytes - before) / 2**20) if device == "cuda" else None,
        "cosine_min_to_fp32": round(float(cosines(asked.vectors, reference).min()), 6),
    }


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What one system did."""

    vectors: Vectors
    passes_s: list[float]
    """Of all texts."""
    alone_s: list[float]
    """Of one text."""
    used_bytes: int
    """Of the card, by whatever."""


def _ask(system: AbstractContextManager[Encode], ids: Ids, device: str, effort: Effort) -> _Asked:
    with system as encode:
        vectors = encode(ids)
        passes = timed(lambda: encode(ids), device, at_least_s=effort.at_least_s, at_least=2)
        single = ids_of_one_text(ids)
        encode(single)
        alone = timed(lambda: encode(single), device, at_least_s=0.0, at_least=effort.single_calls)
        return _Asked(vectors=vectors, passes_s=passes, alone_s=alone, used_bytes=_used_bytes(device))


def flops_per_token(network: LinearLayers, ids: Sequence[Any]) -> float:
    """The mean over the tokens of all texts: linear layers, and attention of each text with itself, without padding.
    Windows are not counted, so that ModernBERT is given a little more than it has to do."""
    attention = sum(network.attention_flops(len(each)) for each in ids)
    return network.flops_per_token + attention / sum(map(len, ids))


def cosines(a: Vectors, b: Vectors) -> Vectors:
    """Row by row."""
    products: Vectors = np.einsum("nh,nh->n", a, b) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return products


def ids_of_one_text(ids: Ids) -> Ids:
    """A text of `ONE_TEXT` tokens."""
    return [np.resize(np.concatenate(list(ids)), ONE_TEXT)]


def timed(call: Callable[[], object], device: str, *, at_least_s: float, at_least: int) -> list[float]:
    """Seconds of each call, of so many and for so long at least."""
    seconds: list[float] = []
    while len(seconds) < at_least or sum(seconds) < at_least_s:
        begin = time.perf_counter()
        call()
        synchronize(device)
        seconds.append(time.perf_counter() - begin)
    return seconds


def _reference(checkpoint: Path, device: str, ids: Ids) -> Vectors:
    with padded_sdpa(checkpoint, device, dtype=torch.float32) as encode:
        return encode(ids)


def _give_back(device: str) -> None:
    """Give the card what PyTorch keeps of a system that is gone. Whoever still refers to its weights, as a frame in
    which it was asked does, keeps their memory."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def _used_bytes(device: str) -> int:
    """Memory of the card that is taken, by whatever; nothing else runs on it."""
    if device != "cuda":
        return 0
    free, total = torch.cuda.mem_get_info()
    return int(total - free)


if __name__ == "__main__":
    main()
