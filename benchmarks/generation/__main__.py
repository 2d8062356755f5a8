"""Tokens a second of encserve over gRPC beside transformers, CTranslate2, and optimum in ONNX Runtime and OpenVINO.

    benchmarks/environments/make.sh ctranslate2 seq2seq
    python -m benchmarks.generation [--rounds 5] [--texts 64] [--keep FOLDER] [--json FILE]
                                   [--write docs/generation.md] [--tiny]

A T5 of the size of t5-small with random weights, since a run downloads nothing: they end no text, so every text has the
length that is asked for. All systems make the same texts on the same cores, in turns within each round, the others
standing still meanwhile; what is compared is the ratio to transformers in the same round, of which the table has the
median and the ends. int8 is held to no limit but that texts do not move each other. Peers get the texts as tokens in
their own process, in batches of 16 of similar lengths, which they know beforehand; encserve gets them over gRPC as
texts, 32 at a time, and reads and writes text for them; `in process` is its engine without Triton. With beams every
system makes half of the texts, and is compared with transformers with as many. A peer that cannot be installed or does
not start is named with its reason. Then every system makes what a trained T5 of 0.2 million parameters makes of 48
texts, which end by themselves: how many have transformers' tokens. Last texts come one by one, at 60 % of the rate of
CTranslate2's closed set, to CTranslate2, which takes all that wait, and to encserve.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.generation.arrivals import SHARE, Waited, waited
from benchmarks.generation.checkpoint import requests, write_checkpoint
from benchmarks.generation.exported import export_precisions, name_in
from benchmarks.generation.identity import identical
from benchmarks.generation.in_process import InProcess
from benchmarks.generation.systems import (
    BEAMS,
    PEERS,
    REFERENCE,
    SEARCHING,
    Peer,
    Served,
    System,
    WithBeams,
    reference_of,
    served,
    with_beams,
)
from benchmarks.machine import describe_machine
from benchmarks.written import Marks, table
from encserve_export.config import Precision
from encserve_server.steps.encode.host.cores import usable_cores

MARKS = Marks("<!-- figures: benchmarks/generation writes this -->", "<!-- end of figures -->")
IN_PROCESS = "encserve-fp32, in process"
COMPARED, STREAMED = "ctranslate2-float32", "encserve-fp32, 16 streams"
"""Beside whom waits are measured, and who of encserve's."""


@dataclass
class Measured:
    """What a run found."""

    machine: Mapping[str, Any]
    per_s: dict[str, list[float]] = field(default_factory=dict)
    """System -> tokens made per second, round by round."""
    identical: dict[str, str] = field(default_factory=dict)
    """System -> how many of the texts of the trained T5 have transformers' tokens."""
    rate_per_s: float = 0.0
    """Texts that came each second when waits were measured."""
    waited: dict[str, Waited] = field(default_factory=dict)
    """System -> how long texts took that came one by one."""
    missing: dict[str, str] = field(default_factory=dict)
    """System -> why it was not measured."""

    def ratios(self, system: str) -> list[float]:
        """Of each round."""
        return [own / of for own, of in zip(self.per_s[system], self.per_s[reference_of(system)], strict=True)]


def main() -> None:
    """Export, measure, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--systems", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table into this page")
    parser.add_argument("--keep", type=Path, help="export into this folder, or take what a run before exported into it")
    parser.add_argument("--tiny", action="store_true", help="a small network, to try the run itself")
    arguments = parser.parse_args()
    if REFERENCE not in arguments.systems:
        parser.error(f"all figures are ratios to {REFERENCE}")
    measured = measure(arguments)
    print(report(measured, arguments))
    if arguments.json:
        written = {**asdict(measured), "texts": arguments.texts, "tiny": arguments.tiny}
        arguments.json.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    if arguments.write:
        MARKS.put(arguments.write, report(measured, arguments))


def measure(arguments: argparse.Namespace) -> Measured:
    """Run all rounds."""
    measured = Measured(describe_machine())
    with ExitStack() as cleanup:
        work = arguments.keep or Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="encserve-generation-")))
        checkpoint = work / "checkpoint"
        if not checkpoint.exists():
            write_checkpoint(checkpoint, tiny=arguments.tiny)
        say("exporting")
        export_precisions(checkpoint, work / "models")
        systems: dict[str, System] = {}
        peers: dict[str, Peer] = {}
        for name in arguments.systems:
            say(f"starting {name}")
            try:
                peers[name] = Peer(name, checkpoint, work, threads=usable_cores())
            except SystemExit as ended:
                measured.missing[name] = str(ended)
            else:
                cleanup.callback(peers[name].close)
        if REFERENCE not in peers:
            raise SystemExit(f"all figures are ratios to {REFERENCE}: {measured.missing[REFERENCE]}")
        systems |= peers | {with_beams(name): WithBeams(peers[name]) for name in SEARCHING if name in peers}
        systems |= cleanup.enter_context(served(work / "models"))
        systems[IN_PROCESS] = cleanup.enter_context(
            InProcess(work / "models" / f"{name_in(Precision.FP32)}_generate" / "1")
        )
        asked = requests(checkpoint, arguments.texts, seed=0)
        for name, system in systems.items():
            say(f"warming {name}")
            system.make(asked[:2])
            measured.per_s[name] = []
        for number in range(arguments.rounds):
            order = list(systems.items())
            for name, system in order[number % len(order) :] + order[: number % len(order)]:
                measured.per_s[name].append(system.make(asked[: _texts_of(name, len(asked))]).per_s)
                say(f"round {number + 1}: {name} {measured.per_s[name][-1]:.0f} tokens/s")
        if COMPARED in peers:
            seconds = statistics.median(
                sum(each.new_tokens for each in asked) / per_s for per_s in measured.per_s[COMPARED]
            )
            measured.rate_per_s = SHARE * len(asked) / seconds
            say(f"{measured.rate_per_s:.1f} texts a second, one by one")
            ours = systems[STREAMED]
            assert isinstance(ours, Served)
            come = requests(checkpoint, 4 * arguments.texts, seed=1)
            measured.waited = waited({COMPARED: peers[COMPARED], STREAMED: ours}, come, rate_per_s=measured.rate_per_s)
    with tempfile.TemporaryDirectory(prefix="encserve-identity-") as folder:
        say("the trained T5")
        measured.identical, missing = identical(Path(folder), list(peers))
    measured.missing |= {f"{name}, trained T5": why for name, why in missing.items()}
    return measured


def _texts_of(system: str, texts: int) -> int:
    """How many texts of a round a system makes: with beams, which take longer, a half."""
    return texts if reference_of(system) == REFERENCE else -(-texts // 2)


def say(line: str) -> None:
    """Tell how far the run is."""
    print(line, file=sys.stderr, flush=True)


def report(measured: Measured, arguments: argparse.Namespace) -> str:
    """The table, and what it is of."""
    rows: list[Sequence[str]] = []
    for name, per_s in measured.per_s.items():
        ratios = sorted(measured.ratios(name))
        spread = (
            "1"
            if name == reference_of(name)
            else f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
        rows.append([name, f"{statistics.median(per_s):,.0f}", spread, measured.identical.get(name, "")])
    rows += [[name, "", f"not measured: {why}", ""] for name, why in measured.missing.items()]
    waits = [
        [
            name,
            *(f"{figure:,.0f} ms" for figure in (each.first_p95, each.whole_p50, each.whole_p95)),
            f"{each.gap_spread:.2f}",
        ]
        for name, each in measured.waited.items()
    ]
    come = (
        f"\n\nTexts that come one by one, as those of independent callers, {measured.rate_per_s:.1f} a second, "
        f"{SHARE:.0%} of what {COMPARED} makes of a closed set:\n\n"
        + table(["system", "first token, p95", "whole, p50", "whole, p95", "mean gap of tokens, p95 by p50"], waits)
        if waits
        else ""
    )
    machine = measured.machine
    network = "A tiny T5, as a rehearsal" if arguments.tiny else "A T5 of t5-small's size"
    return (
        table(["system", "tokens/s", f"times {REFERENCE}, median and ends", "texts identical, trained T5"], rows)
        + come
        + f"\n\n{network} with random weights, {arguments.texts} texts a round, with {BEAMS} beams half of them, "
        f"as for transformers; {arguments.rounds} rounds; "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['load_before']} programs beside it when it began."
    )


if __name__ == "__main__":
    main()
