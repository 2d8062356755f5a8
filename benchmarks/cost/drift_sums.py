"""What the sums for `encserve drift` cost, by the processor time of the steps of a request.

    python -m benchmarks.cost.drift_sums [--rounds 15]

Exports MiniLM and answers requests in this process, with the code of the encode and the head step; the vectors of each
are added to the sums as the head step does. Prints the processor time of the addition, beside that of the steps, for
requests of one text and of 32.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks import exported
from benchmarks.machine import describe_machine
from encserve_export.engines.python_backend.in_process import InProcessStep
from encserve_server.steps.head.loading import load_head
from encserve_server.steps.instance.settings import read_settings

OUTPUT = "sentence_embedding"


def main() -> None:
    """Export, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(describe_machine())
    draws = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as work:
        repository = exported.pipeline(Path(work))
        with InProcessStep(repository / f"{exported.MODEL}_encode" / "1") as step:
            head = load_head(read_settings(repository / f"{exported.MODEL}_head" / "1"))
            for texts in (1, 32):
                lengths = draws.lognormal(3.22, 0.8, texts).clip(3, 256).astype(np.int64)
                measure(step, head, lengths, rounds, draws)


def measure(step: InProcessStep, head: Any, lengths: Any, rounds: int, draws: np.random.Generator) -> None:
    """Print what the sums take of a request of texts of these lengths."""
    options = {"dimensions": None, "normalize": True, "output_dtype": "float32"}
    add = adding()
    answered_s, added_s = [], []
    for _ in range(-2, rounds):  # the first two are for warming up
        request = {"input_ids": draws.integers(1_000, 20_000, lengths.sum()), "lengths": lengths}
        began_s = time.process_time()
        (encoded,) = step.encode([request], [OUTPUT])
        if isinstance(encoded, Exception):
            raise encoded
        inputs = {**encoded, "lengths": lengths, "window_count": np.ones(len(lengths), np.int32)}
        head.answer(inputs, options)
        encoded_s = time.process_time()
        add(inputs)
        added_s.append(time.process_time() - encoded_s)
        answered_s.append(encoded_s - began_s)
    steps_s, sums_s = np.median(answered_s[2:]), np.median(added_s[2:])
    print(
        f"{len(lengths)} texts, {lengths.sum()} tokens: steps {steps_s * 1e3:.2f} ms, sums {sums_s * 1e6:.0f} µs, "
        f"{sums_s / steps_s:.2%}"
    )


def adding() -> Callable[[Any], None]:
    """Return what adds the vectors of a request to the sums, as the head step does."""
    stand_in: Any = ModuleType("triton_python_backend_utils")
    stand_in.MetricFamily = type("MetricFamily", (), {"COUNTER": 0, "__init__": lambda self, **given: None})
    sys.modules["triton_python_backend_utils"] = stand_in
    from encserve_server.steps.head.projection import projected
    from encserve_server.steps.head.vector_sums import VectorSums
    from encserve_server.steps.instance.metrics import Metrics

    sums = VectorSums(Metrics({"model_name": "minilm_head", "model_version": "1"}))
    return lambda inputs: sums.add(projected(inputs[OUTPUT]))


if __name__ == "__main__":
    main()
