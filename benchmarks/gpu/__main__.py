"""Everything that a machine with one NVIDIA card can tell of encserve, in less than eight minutes.

    python -m benchmarks.gpu [--json FILE] [--limit-s 460] [--models ...] [--checkpoints FOLDER] [--rehearse]

It needs PyTorch with CUDA, onnxruntime-gpu and what the exporter needs, and no network: `make gpu WHEELS=FOLDER` brings
them. It asks what the card can multiply, runs the tests marked `gpu`, and for MiniLM, BERT-base and ModernBERT-base
exports fp16 for the engine onnxruntime, which certifies it on the card, and measures it beside PyTorch. What does not
fit into the time is passed over, and says so. The results are in FILE after each step; `python -m benchmarks.gpu.rows`
makes the rows of docs/hardware.md of them. `--rehearse` does the same on a CPU with tiny networks: its figures mean
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.gpu.networks import SHAPES, find_or_write
from benchmarks.gpu.steps import Outcome, Step, run_steps, say
from benchmarks.places import REPOSITORY_ROOT

LIMIT_S = 460.0
"""Of the whole; the limits of steps are meant for it, and grow and shrink with another one."""
GPU_TESTS = {"tests/export/network/test_fused_attention.py": "", "tests/export/engines/test_tensorrt.py": "tensorrt"}
"""Files of tests -> the module that they need beside what is brought."""
CARD, TESTS = "card", "tests"


def main() -> None:
    begin_s = time.monotonic()
    arguments = parse_arguments()
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        facts: dict[str, Any] = {
            "command": " ".join(["python -m benchmarks.gpu", *sys.argv[1:]]),
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "rehearsal": arguments.rehearse,
            "weights": {},
            "left_out": {} if arguments.no_tests else left_out(),
        }

        def keep(outcomes: Sequence[Outcome]) -> None:
            facts["seconds"] = round(time.monotonic() - begin_s)
            results = {"facts": facts, "steps": [each.to_json() for each in outcomes], **read_results(work)}
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")

        end_s = begin_s + arguments.limit_s
        say(f"card: what it is and what it can multiply; all has {arguments.limit_s:.0f} s")
        first = run_steps([card_step(work, arguments)], end_s=end_s, logs=work, environment=environment(), after=keep)
        if first[0].state != "done":
            raise SystemExit(f"{arguments.json}: there is no card to measure: {first[0].why}")
        checkpoints = {}
        for name in arguments.models:
            say(f"{name}: looking for weights, or writing random ones")
            checkpoints[name], facts["weights"][name] = find_or_write(
                name, work / "checkpoints" / name, at_hand=arguments.checkpoints, tiny=arguments.rehearse
            )
        steps = plan(work, checkpoints, peak_of(work), arguments)
        outcomes = run_steps(
            steps,
            end_s=end_s,
            logs=work,
            environment=environment(),
            after=lambda rest: keep([*first, *rest]),
        )
    for outcome in (each for each in outcomes if each.state != "done"):
        print(f"{outcome.name}: {outcome.state}: {outcome.why}")
    print(arguments.json)
    if any(outcome.state != "done" for outcome in outcomes):
        raise SystemExit(1)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/gpu.json"))
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help="seconds for all of it")
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--checkpoints", type=Path, help="a folder of checkpoints by the names of the models")
    parser.add_argument("--no-tests", action="store_true", help="leave out the tests marked gpu")
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, with tiny networks")
    return parser.parse_args()


def card_step(work: Path, arguments: argparse.Namespace) -> Step:
    """What the others stand on."""
    command = [sys.executable, "-m", "benchmarks.gpu.card", str(work / "card.json"), *_rehearsing(arguments)]
    return Step(
        name=CARD,
        doing="its name, versions, and products of matrices",
        command=command,
        limit_s=60 * arguments.limit_s / LIMIT_S,
    )


def plan(work: Path, checkpoints: Mapping[str, Path], peak: float, arguments: argparse.Namespace) -> list[Step]:
    """The steps after the first: tests, then an export and a measurement for each model.

    A measurement takes PyTorch alone where the export gave nothing.
    """
    steps, longer = [], arguments.limit_s / LIMIT_S
    if not arguments.no_tests:
        required = [] if arguments.rehearse else ["--require-gpu"]
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *required]
        command += [file for file in GPU_TESTS if file not in left_out()]
        steps.append(Step(name=TESTS, doing="the tests marked gpu", command=command, limit_s=110 * longer))
    repository = work / "repository"
    for name, checkpoint in checkpoints.items():
        export = [sys.executable, "-m", "encserve", "export", str(checkpoint), "--name", name]
        export += ["--engine", "onnxruntime", "--device", "gpu", "--precision", "fp16", "--repository", str(repository)]
        steps.append(
            Step(
                name=f"export {name}",
                doing="fp16 for onnxruntime, certified on the card",
                command=export,
                limit_s=150 * longer,
            )
        )
        measure = [sys.executable, "-m", "benchmarks.gpu.measure", str(work / f"measured-{name}.json")]
        measure += ["--checkpoint", str(checkpoint), "--peak", str(peak), "--pipeline", str(repository / name)]
        steps.append(
            Step(
                name=f"measure {name}",
                doing="the certified graph beside PyTorch",
                command=[*measure, *_rehearsing(arguments)],
                limit_s=75 * longer,
            )
        )
    return steps


def left_out() -> dict[str, str]:
    """The files of `GPU_TESTS` that cannot run here -> why."""
    return {
        file: f"{module} is not installed" for file, module in GPU_TESTS.items() if module and find_spec(module) is None
    }


def _rehearsing(arguments: argparse.Namespace) -> list[str]:
    return ["--rehearse"] if arguments.rehearse else []


def peak_of(work: Path) -> float:
    """Operations per second of the card's faster products in 16 bits."""
    products = json.loads((work / "card.json").read_text())["products_flops_per_s"]
    return float(max(products.values()))


def read_results(work: Path) -> dict[str, Any]:
    """What the steps have written so far: of the card, and of each model its certificate and its figures."""
    found: dict[str, Any] = {"models": {}}
    if (work / "card.json").is_file():
        found["card"] = json.loads((work / "card.json").read_text())
    for name in SHAPES:
        model = {}
        manifests = sorted((work / "repository" / name).glob("*/manifest.json"))
        if manifests:
            model["certificate"] = certificate_of(json.loads(manifests[-1].read_text()))
        measured = work / f"measured-{name}.json"
        if measured.is_file():
            model["measured"] = json.loads(measured.read_text())
        if model:
            found["models"][name] = model
    return found


def certificate_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says of a certificate: where it was taken, its figures, how attention is computed, and the ways that
    were compared."""
    parity = manifest["parity"]
    return {
        "measured_on": parity["measured_on"],
        "hardware": parity["hardware"],
        "figures": parity["figures"],
        "attention": manifest["made"].get("attention", "written out"),
        "ways": manifest.get("speed", {}).get("ways", {}),
    }


def environment() -> dict[str, str]:
    """Of the steps: this one's, with the source tree where Python looks first, and nothing fetched."""
    folders = (
        "",
        "client",
        "export",
        "server",
        "repository",
        "loadtest",
        "gateway",
        "lifecycle",
        "bulk",
        "pages",
        "local",
    )
    path = [str(REPOSITORY_ROOT / folder) for folder in folders]
    known = os.environ.get("PYTHONPATH", "")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*path, *([known] if known else [])]),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # a step that runs ends with it
    main()
