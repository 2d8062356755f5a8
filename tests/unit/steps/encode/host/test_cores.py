import os
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from encserve_server.steps.encode.host.cores import kept_on, own_cores, usable_cores
from encserve_server.steps.encode.network.onnxruntime_network import OnnxRuntimeNetwork

V1 = {"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, 8),
        (V1, 2),
        ({**V1, "cpu/cpu.cfs_quota_us": "-1\n"}, 8),
    ],
)
@pytest.mark.usefixtures("eight_cores")
def test_cores_are_those_of_the_process_or_of_its_quota(tmp_path, files, expected):
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert usable_cores(tmp_path) == expected


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(("threads", "expected"), [(8, list(range(8))), (7, []), (2, []), (1, [])])
def test_threads_have_cores_of_their_own_where_they_need_all(threads, expected):
    assert own_cores(threads) == expected


def test_one_thread_on_one_core_is_left_where_it_is(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3})
    assert own_cores(1) == []


class Cores:
    """Where the calling thread may run, as the kernel would have it."""

    def __init__(self, monkeypatch, *, refuses=False):
        self.now, self.refuses = {2, 3, 5}, refuses
        monkeypatch.setattr("os.sched_getaffinity", lambda thread: self.now)
        monkeypatch.setattr("os.sched_setaffinity", self.move)

    def move(self, thread, cores):
        assert thread == 0, "the calling thread"
        if self.refuses:
            raise OSError(22, "Invalid argument")
        self.now = set(cores)


def test_a_thread_is_kept_and_given_back_also_after_a_failure(monkeypatch):
    cores = Cores(monkeypatch)

    def fail():
        assert cores.now == {5}
        raise RuntimeError

    with pytest.raises(RuntimeError), kept_on([5]):
        fail()
    assert cores.now == {2, 3, 5}
    with kept_on([]):
        assert cores.now == {2, 3, 5}


def test_a_core_that_was_taken_away_fails_nothing(monkeypatch):
    cores = Cores(monkeypatch, refuses=True)
    with kept_on([7]):
        assert cores.now == {2, 3, 5}


def allowed_of_threads():
    """Thread of this process -> its cores, as the kernel writes them. Those of other tests may be ending."""
    allowed = {}
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            lines = (thread / "status").read_text().splitlines()
            (allowed[thread.name],) = (line.split()[1] for line in lines if line.startswith("Cpus_allowed_list"))
    return allowed


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_threads_of_a_text_that_is_alone_each_keep_to_a_core(tmp_path):
    node = helper.make_node("MatMul", ["x", "x"], ["y"])
    shape = [64, 64]
    graph = helper.make_graph(
        [node],
        "square",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    mine = os.sched_getaffinity(0)
    before = allowed_of_threads()
    network = OnnxRuntimeNetwork(tmp_path / "model.onnx", {}, side_by_side=1, threads=len(mine))
    network.run({"x": np.eye(64, dtype=np.float32)}, ["y"])
    wanted = sorted(str(core) for core in sorted(mine)[1:])
    deadline_s = time.monotonic() + 30
    while True:  # each thread goes to its core by itself, when it comes to run
        others = [cores for thread, cores in allowed_of_threads().items() if thread not in before]
        if sorted(others) == wanted or time.monotonic() > deadline_s:
            break
        time.sleep(0.01)
    assert sorted(others) == wanted
    assert os.sched_getaffinity(0) == mine, "the caller is let go"
