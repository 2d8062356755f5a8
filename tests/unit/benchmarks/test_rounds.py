"""A run cell by cell: what came out, what failed, and what a system that ended takes with it."""

from argparse import Namespace

import pytest
from benchmarks.peers.catalogue import SYSTEMS
from benchmarks.peers.measurement import Measurement
from benchmarks.peers.plan import IN_HAND, Cell
from benchmarks.peers.results import Results
from benchmarks.peers.rounds import OPEN_LOOP, Rounds, numbers_in_time
from benchmarks.peers.workers import Answered, Refused
from benchmarks.processes import Cost
from benchmarks.workloads import Workload

COST = Cost(own_cpu_s=1.0, children_cpu_s=0.0, own_peak_bytes=1 << 20, children_peak_bytes=0)


class Worker:
    """Answers as it is told to."""

    def __init__(self, **said):
        self.said, self.loads, self.closed = said, [], False

    def run(self, load, variant, *, timeout_s):
        self.loads.append(load)
        if not self.said:
            raise Refused("it ended")
        return Answered(said=self.said, before=COST, after=COST)

    def close(self):
        self.closed = True


def rounds(worker) -> Rounds:
    process = SYSTEMS["encserve"].process
    return Rounds(
        Namespace(seconds=2.0, share=1.0, systems=list(SYSTEMS), workloads=["mixed"]),
        workers={process: worker},
        workloads={"mixed": Workload(name="mixed", texts=["a text"] * 64, tokens=[4] * 64)},
        paddings={(process, "mixed"): 0.0},
        results=Results(facts={}),
    )


def test_what_a_worker_answers_is_a_measurement_and_sets_the_rate_of_the_open_loop():
    worker = Worker(texts=100, wall_s=1.0, latencies_s=[0.1], padding=None)
    run = rounds(worker)
    run.measure(Cell("encserve", "mixed", "32x1"), 1)
    run.measure_open_loop(1)
    closed, opened = run.results.measurements
    assert isinstance(closed, Measurement)
    assert (closed.texts_per_s, closed.padding, opened.mode) == (100.0, 0.0, OPEN_LOOP)
    due_s = worker.loads[1]["due_s"]
    assert due_s == sorted(due_s)
    assert len(due_s) == pytest.approx(0.7 * 100 * 4, rel=0.25)  # two times as long as asked


def test_a_worker_that_ends_takes_all_systems_of_its_process_with_it():
    worker = Worker()
    run = rounds(worker)
    run.measure(Cell("encserve", "mixed", "1x1"), 1)
    gone = {name for name, system in SYSTEMS.items() if system.process == SYSTEMS["encserve"].process}
    assert set(run.results.refused) == gone
    assert set(run.results.refused.values()) == {"since encserve, mixed, 1x1: it ended"}
    assert worker.closed
    run.measure(Cell("encserve", "mixed", "1x1"), 2)
    assert len(worker.loads) == 1


def test_what_failed_is_noted_with_its_cell():
    run = rounds(Worker(failed="OSError: no"))
    run.measure(Cell("encserve", "mixed", "1x1"), 1)
    run.measure_open_loop(1)  # of which nothing can be said without a rate
    assert run.results.failed == {"encserve, mixed, 1x1": "OSError: no"}
    assert run.results.measurements == []


def test_texts_in_hand_are_so_many_tokens_at_most_and_have_no_latency():
    """Else a library that has long texts in hand would take many times as long as asked."""
    worker = Worker(texts=100, wall_s=1.0, latencies_s=[1.0], padding=None)
    run = rounds(worker)
    run.workers[SYSTEMS["CTranslate2"].process] = worker
    run.workloads["mixed"] = Workload(name="mixed", texts=["a text"] * 2048, tokens=[250] * 2048)
    run.measure(Cell("CTranslate2", "mixed", IN_HAND), 1)
    run.measure(Cell("encserve", "mixed", "4x32"), 1)
    in_hand, requests = (load["requests"] for load in worker.loads)
    assert [len(texts) for texts in in_hand] == [160]
    assert [len(texts) for texts in requests] == [32] * 48
    library, server = run.results.measurements
    assert (library.p50_ms, server.p50_ms) == (None, 1000.0)


def test_no_round_begins_that_would_end_too_late():
    times_s = iter([100.0, 200.0, 200.0, 350.0, 350.0, 450.0, 450.0, 550.0, 550.0])  # before and behind each round
    begun = list(numbers_in_time(9, begun_s=0.0, minutes=10, clock=lambda: next(times_s)))
    assert begun == [1, 2, 3, 4]  # at 450 s one of 150 s ends in time, at 550 s no more
    assert list(numbers_in_time(3, begun_s=0.0, minutes=None, clock=lambda: 1e9)) == [1, 2, 3]
    assert list(numbers_in_time(3, begun_s=0.0, minutes=1, clock=lambda: 1e9)) == [1]
