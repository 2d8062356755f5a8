"""What lets an export pass over a way to make the encode step, and what ends it."""

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from encserve_export import drafts
from encserve_export.config import Precision
from encserve_export.drafts import Drafts
from encserve_export.engines.ways import Way
from encserve_export.errors import CertificateFailed, Unsupported, WayFailed
from encserve_export.export import _Workshop

FP32, BF16, INT8 = Precision.FP32, Precision.BF16, Precision.INT8
PACK = {"input_ids": np.arange(4), "lengths": np.array([4])}


class Engine:
    """Opens an encoder that answers, but for what a test makes fail."""

    title, measured_on, tracing = "an engine", "cpu", None
    precisions = dict.fromkeys((FP32, BF16, INT8), SimpleNamespace(imitation=None))

    def __init__(self):
        self.fail_to_open, self.fail_to_run, self.fails_from_run = {}, {}, 1

    def serves_as_here(self, precision):
        return True

    def build(self, step, stage):
        return iter(())

    @contextmanager
    def open(self, step):
        if step.precision in self.fail_to_open:
            raise self.fail_to_open[step.precision]
        runs = count(1)

        def encode(requests, outputs):
            failure = self.fail_to_run.get(step.precision) if next(runs) >= self.fails_from_run else None
            return [failure or {}] * len(requests)

        yield SimpleNamespace(encode=encode)


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def cannot_make():
    """Precisions that cannot be made, each with why."""
    return {}


@pytest.fixture
def made(tmp_path, monkeypatch, cannot_make):
    def write_graph_of(way, checkpoint, calibration, *, traced, folder):
        if way.precision in cannot_make:
            raise cannot_make[way.precision]
        return {}

    monkeypatch.setattr(drafts, "write_graph_of", write_graph_of)
    monkeypatch.setattr(drafts, "trial_packs", lambda checkpoint: [PACK])
    return Drafts(None, None, {None: tmp_path}, tmp_path, lambda doing: nullcontext())


def step_of(precision, folder):
    return SimpleNamespace(precision=precision, follows={"y": "lengths"})


def test_what_cannot_be_made_opened_or_run_is_passed_over(engine, made, cannot_make):
    ways = [Way(precision, engine) for precision in (FP32, BF16, INT8)]
    cannot_make[INT8] = Unsupported("no linear layer can be int8")
    engine.fail_to_open[BF16] = RuntimeError("unknown element type")
    speed = made.speed(ways, step_of)
    said = []
    assert made.usable(ways, said.append) == ways[:1]
    assert list(speed.ratios) == ["fp32 on an engine"]
    assert said == [
        "bf16 on an engine is passed over: bf16 on an engine does not load here: unknown element type",
        "int8 on an engine is passed over: no linear layer can be int8",
    ]


@pytest.mark.parametrize("run", [1, 2, 4])
def test_one_that_does_not_run_is_passed_over_whenever_it_fails(engine, made, run):
    engine.fails_from_run = run
    ways = [Way(precision, engine) for precision in (FP32, INT8)]
    engine.fail_to_run[FP32] = ValueError("no memory")
    assert list(made.speed(ways, step_of).ratios) == ["int8 on an engine"]
    assert made.usable(ways, lambda line: None) == ways[1:]


def test_where_none_is_left_the_export_ends_with_why(engine, made):
    ways = [Way(FP32, engine)]
    engine.fail_to_run[FP32] = ValueError("no memory")
    assert made.speed(ways, step_of) is None
    with pytest.raises(WayFailed, match="no memory"):
        made.usable(ways, lambda line: None)


def test_speed_is_measured_with_batches_of_the_size_that_is_served(engine, made):
    """How many requests a batch may have follows from the memory that the build states."""

    @dataclass(frozen=True)
    class Step:
        precision: Precision
        follows: dict
        memory: dict = field(default_factory=dict)

    opened = []
    genuine = engine.open
    engine.build = lambda step, stage: iter([SimpleNamespace(memory={"requests_per_batch": 2})])
    engine.open = lambda step: opened.append(step.memory) or genuine(step)
    assert made.speed([Way(FP32, engine)], lambda precision, folder: Step(precision, {"y": "lengths"}))
    assert opened == [{"requests_per_batch": 2}]


class Workshop(_Workshop):
    failures: list

    def _make(self, way, speed):
        if failure := self.failures.pop(0):
            raise failure
        return way


def first_that_holds(engine, *failures):
    unmeasured = SimpleNamespace(speed=lambda ways, step: None, usable=lambda ways, say: ways)
    workshop = Workshop(steps=SimpleNamespace(step=None), drafts=unmeasured, staged=None, labelled=None, stage=None)
    object.__setattr__(workshop, "failures", list(failures))
    said = []
    return workshop.first_that_holds([Way(precision, engine) for precision in (INT8, BF16, FP32)], said.append), said


def test_a_missed_figure_lets_the_next_way_be_tried(engine):
    way, said = first_that_holds(engine, WayFailed("cosine_min is 0.9"), Unsupported("no bf16 here"), None)
    assert way.precision is FP32
    assert said == [
        "int8 on an engine fails its certificate (cosine_min is 0.9); trying bf16 on an engine",
        "bf16 on an engine cannot be made (no bf16 here); trying fp32 on an engine",
    ]


def test_what_is_no_fault_of_a_way_ends_the_export(engine):
    with pytest.raises(CertificateFailed, match="the library did not answer"):
        first_that_holds(engine, CertificateFailed("the library did not answer"), None)
