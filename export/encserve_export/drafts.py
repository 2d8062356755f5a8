"""The encode step as drafts: made in every way that is tried, and run side by side, before one is certified."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .checkpoint.checkpoint import Checkpoint
from .config import Precision
from .engines.engine import NewEncodeStep, Say, Tracing
from .engines.served_encoder import ServedEncoder
from .engines.speed import Speed, measure_in_turn, run_once
from .engines.ways import Way
from .errors import ExportError, Unsupported, UnsupportedHost, WayFailed
from .network.graph_file import Pack
from .publication.steps import write_graph_of
from .texts.calibration import Calibration
from .texts.trial_texts import ORDINARY_TEXTS, trial_packs

_LONGEST_TOKENS, _TOKENS = 128, 1_024
"""Tokens of the longest text that speed is measured on, as longer ones would take most of the time; and about how many
all of them have together."""


@dataclass(frozen=True)
class Drafts:
    """The graphs that were made so far, each once."""

    checkpoint: Checkpoint
    calibration: Calibration
    traced: Mapping[Tracing, Path]
    """The folders of the FP32 graphs."""
    root: Path
    """Where drafts are kept; a folder that goes away with the export."""
    stage: Callable[[str], AbstractContextManager[object]]
    failures: dict[str, ExportError] = field(default_factory=dict)
    """Of the ways that could not be made, loaded or run when their speed was to be measured, by their name."""
    _made: dict[str, tuple[Path, dict[str, Any]]] = field(default_factory=dict)

    def write(self, way: Way, folder: Path) -> dict[str, Any]:
        """Write the graph of `way` into `folder`, in place of what is there; returns what the manifest says of how."""
        if str(way) not in self._made:
            draft = self.root / f"draft-{len(self._made)}"
            draft.mkdir(exist_ok=True)  # left by a way that could not be made
            traced = self.traced[way.engine.tracing]
            with self.stage(f"making {way}"):
                how = write_graph_of(way, self.checkpoint, self.calibration, traced=traced, folder=draft)
            self._made[str(way)] = draft, how
        draft, how = self._made[str(way)]
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(draft, folder)
        return how

    def speed(self, ways: Sequence[Way], step: Callable[[Precision, Path], NewEncodeStep]) -> Speed | None:
        """How fast `ways` are beside each other, and beside FP32 on the engine of the first; None where what runs here
        is not what will be served, or where none runs. Those that do not are among the `failures` then. `step`
        describes a step of a precision that is made in a folder."""
        measured = [way for way in ways if way.engine.serves_as_here(way.precision)]
        if not measured:
            return None
        if full := [way for way in measured if way.precision is Precision.FP32]:
            measured.remove(full[0])
        first = full[0] if full else Way(Precision.FP32, measured[0].engine)
        if Precision.FP32 in first.engine.precisions:
            measured.insert(0, first)
        requests = _requests_of(trial_packs(self.checkpoint)[:ORDINARY_TEXTS])
        with ExitStack() as opened, self.stage("measuring speed"):
            outputs = list(step(first.precision, self.root).follows)
            encoders: dict[str, ServedEncoder] = {}
            for way in measured:
                try:
                    encoder = opened.enter_context(self._open(way, step))
                    run_once(encoder, requests, outputs)
                    encoders[str(way)] = encoder
                except (WayFailed, Unsupported, UnsupportedHost) as failure:
                    self.failures[str(way)] = failure
            if not encoders:
                return None
            speed, failures = measure_in_turn(encoders, requests, outputs)
            self.failures.update(failures)
            return speed

    def usable(self, ways: Sequence[Way], say: Say) -> list[Way]:
        """Those of `ways` that are not among the failures. Raises ExportError: none is left."""
        failures = {str(way): self.failures[str(way)] for way in ways if str(way) in self.failures}
        left = [way for way in ways if str(way) not in failures]
        if not left:
            raise list(failures.values())[-1]
        for way, failure in failures.items():
            say(f"{way} is passed over: {failure}")
        return left

    @contextmanager
    def _open(self, way: Way, step: Callable[[Precision, Path], NewEncodeStep]) -> Iterator[ServedEncoder]:
        folder = self.root / "measured"
        while folder.exists():
            folder = folder.with_name(f"{folder.name}-")
        self.write(way, folder)
        described = step(way.precision, folder)
        for built in way.engine.build(described, self.stage):
            described = replace(described, memory=built.memory)
        try:
            with way.open(described) as encoder:
                yield encoder
        finally:
            shutil.rmtree(folder)


def _requests_of(packs: Sequence[Pack]) -> list[Pack]:
    """Some of the ordinary texts, of all lengths up to the longest."""
    short = [pack for pack in packs if len(pack["input_ids"]) <= _LONGEST_TOKENS]
    every = max(1, round(sum(len(pack["input_ids"]) for pack in short) / _TOKENS))
    return short[::every] or list(packs[:1])
