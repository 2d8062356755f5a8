"""The card: what it is, what runs on it, and what it can multiply.

    python -m benchmarks.gpu.card FILE [--rehearse]

Writes JSON to FILE.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

TOOLS = (
    "encserve",
    "torch",
    "transformers",
    "sentence-transformers",
    "onnxruntime-gpu",
    "onnxruntime",
    "onnx",
    "numpy",
)
SIDE = 8192
"""Of the square matrices whose products are the card's roofline; 256 in a rehearsal."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.gpu.card", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rehearse", action="store_true")
    arguments = parser.parse_args()
    device = "cpu" if arguments.rehearse else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"PyTorch {torch.__version__} finds no GPU here")
    facts = describe(device) | {"products_flops_per_s": products(device, 256 if arguments.rehearse else SIDE)}
    arguments.file.write_text(json.dumps(facts, indent=1) + "\n")


def describe(device: str) -> dict[str, Any]:
    """What computes, and with which versions; `onnxruntime_lacks` says why ONNX Runtime cannot use the card."""
    from encserve_export.engines.onnxruntime_backend.cuda import why_no_cuda

    facts: dict[str, Any] = {"device": device, "python": platform.python_version(), "versions": _versions()}
    facts["onnxruntime_lacks"] = why_no_cuda()
    if device == "cuda":
        properties: Any = torch.cuda.get_device_properties(0)
        facts |= {
            "name": properties.name,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "compute_capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "driver": _driver(),
        }
    else:
        facts["name"] = "a CPU, in a rehearsal"
    return facts


def products(device: str, side: int) -> dict[str, float]:
    """Operations per second of products of square matrices of random numbers, by the type of the numbers."""
    found = {}
    for name, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16)):
        a = torch.randn(side, side, device=device).to(dtype)
        b = torch.randn(side, side, device=device).to(dtype)

        def product(a: torch.Tensor = a, b: torch.Tensor = b) -> object:
            return a @ b

        seconds = seconds_of(product, device, at_least_s=1.0 if device == "cuda" else 0.05)
        found[name] = 2 * side**3 / seconds
    return found


def seconds_of(call: Callable[[], object], device: str, *, at_least_s: float) -> float:
    """The mean of one call, over `at_least_s` of calls after three that do not count."""
    for _ in range(3):
        call()
    synchronize(device)
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < at_least_s:
        for _ in range(5):
            call()
        synchronize(device)
        count += 5
    return (time.perf_counter() - begin) / count


def synchronize(device: str) -> None:
    """Wait for what the card still has to do."""
    if device == "cuda":
        torch.cuda.synchronize()


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "not known: there is no nvidia-smi"
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True, check=False, timeout=20).stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for tool in TOOLS:
        try:
            found[tool] = version(tool)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
