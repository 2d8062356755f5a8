"""The machine's roofline: the products of the network's linear layers and nothing else, at the best speed of a library.

A load is answered in as many products as have the floating-point operations of its texts' linear layers
(`LinearLayers.flops_per_token`); so texts/s and tokens/s stand beside those of the other systems. Attention, norms,
tokenizing and everything between are left out, which is what makes it a bound that nothing reaches.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from benchmarks.closed_loop import Done, Load
from benchmarks.exported import CHECKPOINT
from benchmarks.roofline.linear_layers import LinearLayers
from benchmarks.roofline.products import PRODUCTS, SHAPES, Product, Shape
from benchmarks.workloads import LONGEST
from encserve_server.steps.encode.host.cpu_flags import BF16, VNNI, lacks, read_cpu_flags

INSTRUCTIONS = {"fp32": (), "int8": VNNI, "bf16": BF16}
"""Precision -> processor flags of which one must be there: without it a product is emulated, and bounds nothing."""
SECONDS = 1.2
"""Of one measurement at most."""
TRIAL_SECONDS = 0.2
"""Of each library with each shape before the first measurement, to find the shape that suits it."""


class System:
    """Variants: libraries, as in `PRODUCTS`."""

    def __init__(self, precision: str) -> None:
        missing = lacks(read_cpu_flags(), INSTRUCTIONS[precision])
        if missing:
            raise SystemExit(f"this processor has no instruction for products in {precision}: it lacks {missing}")
        config = json.loads((CHECKPOINT / "config.json").read_text())
        self._flops_per_token = LinearLayers.of_config(config).flops_per_token
        self._tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(LONGEST)
        self._products = {
            library: max(map(Timed, SHAPES, map(make, SHAPES)), key=lambda timed: timed.flops_per_s(TRIAL_SECONDS))
            for (kind, library), make in PRODUCTS.items()
            if kind == precision
        }

    def run(self, load: Load, variant: str) -> Done:
        texts = [text for request in load.requests for text in request]
        tokens = np.array([len(encoding) for encoding in self._tokenizer.encode_batch_fast(texts)])
        flops = np.cumsum(tokens) * self._flops_per_token
        done, taken_s = self._products[variant].run(min(load.cap_s, SECONDS), until_flops=float(flops[-1]))
        return done_of(flops, done, taken_s)

    def padding(self) -> float | None:
        return None

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class Timed:
    """A product that is computed again and again."""

    shape: Shape
    product: Product

    def flops_per_s(self, seconds: float) -> float:
        """After one product that does not count."""
        self.product()
        flops, taken_s = self.run(seconds)
        return flops / taken_s

    def run(self, seconds: float, *, until_flops: float = float("inf")) -> tuple[float, float]:
        """Operations and seconds, of whole products until either is reached."""
        flops, taken_s, begin = 0.0, 0.0, time.perf_counter()
        while taken_s < seconds and flops < until_flops:
            self.product()
            flops += self.shape.flops
            taken_s = time.perf_counter() - begin
        return flops, taken_s


def done_of(flops: NDArray[np.float64], done: float, taken_s: float) -> Done:
    """The whole texts among `done` operations, and their part of the time; `flops` are sums up to each text."""
    texts = max(1, int(np.searchsorted(flops, done, side="right")))
    return Done(texts=texts, wall_s=taken_s * float(flops[texts - 1]) / done)
