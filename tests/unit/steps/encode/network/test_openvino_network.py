"""OpenVINO below the encode step."""

import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper

FIRST_TOGETHER = """
import sys, threading
from pathlib import Path
import numpy as np
from encserve_server.steps.encode.network.openvino_network import OpenVinoNetwork

network = OpenVinoNetwork(Path(sys.argv[1]), {}, side_by_side=3)
sys.setswitchinterval(1e-4)
together = threading.Barrier(3)

def ask():
    together.wait()
    (twice,) = network.run({"x": np.arange(4)}, ["y"])
    assert twice.tolist() == [0, 2, 4, 6]

threads = [threading.Thread(target=ask) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""

SIGNAL_AFTER_ALL = """
import signal, sys
from pathlib import Path
from encserve_server.steps.encode.network.openvino_network import OpenVinoNetwork

came = []
signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
networks = [OpenVinoNetwork(Path(sys.argv[1]), {}, side_by_side=1) for _ in range(2)]
del networks[0]
del networks[0]
signal.raise_signal(signal.SIGTERM)
assert came == [signal.SIGTERM]
"""


@pytest.fixture
def graph(tmp_path):
    """A graph that doubles its input."""
    inputs, outputs = (helper.make_tensor_value_info(name, TensorProto.INT64, ["n"]) for name in "xy")
    doubled = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "twice", [inputs], [outputs])
    model = helper.make_model(doubled, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def run(program, graph):
    """The exit code of a program in a process of its own, which has used nothing of OpenVINO yet."""
    return subprocess.run([sys.executable, "-c", program, str(graph)], timeout=60, check=False).returncode


def test_threads_that_ask_first_together_are_all_answered(graph):
    """OpenVINO makes tables at its first use, and threads that find none can lock each other out for ever."""
    for _ in range(4):  # half of them hung
        assert run(FIRST_TOGETHER, graph) == 0


def test_a_signal_after_networks_were_closed_in_the_order_of_their_opening_is_handled(graph):
    """OpenVINO gives the thread that compiles a stack for its signals, and gives back one that is gone."""
    assert run(SIGNAL_AFTER_ALL, graph) == 0
