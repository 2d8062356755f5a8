"""OpenVINO below the encode step."""

import subprocess
import sys

import onnx
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


def test_threads_that_ask_first_together_are_all_answered(tmp_path):
    """OpenVINO makes tables at its first use, and threads that find none can lock each other out for ever. A
    process of its own, as it has used nothing yet."""
    inputs, outputs = (helper.make_tensor_value_info(name, TensorProto.INT64, ["n"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "twice", [inputs], [outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "model.onnx")
    command = [sys.executable, "-c", FIRST_TOGETHER, str(tmp_path / "model.onnx")]
    for _ in range(4):  # half of them hung
        assert subprocess.run(command, timeout=60, check=False).returncode == 0
