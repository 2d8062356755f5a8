"""What the network of an encode step holds beside its weights, and what its runtime leaves on the disk."""

import json
import subprocess
import sys

import onnx
from onnx import TensorProto, helper

SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
from encserve_server.steps.encode.network.loading import load_network

def private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))

networks = [
    load_network("onnxruntime", Path(sys.argv[1]), {}, side_by_side=1, threads=threads) for threads in (1,) * 7 + (2,)
]
before = private()
for tokens in np.random.default_rng(0).integers(100, 2_000, 30):
    for network in networks:
        network.run({"ids": np.arange(tokens)}, ["rows"])
print(json.dumps(private() - before))
"""
MIB = 2**20
WIDTH = 1024


def write_graph(file):
    """Rows of 4 KiB for each token in several steps, of which two are in memory at a time: 16 MB for 2,000 tokens."""
    steps = ["Exp", "Log", "Tanh", "Abs", "Sqrt", "Neg", "Exp"]
    names = ["row", *(f"step_{place}" for place in range(len(steps)))]
    nodes = [
        helper.make_node("Cast", ["ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "axis"], ["column"]),
        helper.make_node("Sin", ["column"], ["small"]),
        helper.make_node("MatMul", ["small", "ones"], ["row"]),
        *(helper.make_node(step, [names[place]], [names[place + 1]]) for place, step in enumerate(steps)),
        helper.make_node("ReduceSum", [names[-1], "axis"], ["rows"]),
    ]
    graph = helper.make_graph(
        nodes,
        "wide",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 1])],
        [
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
            helper.make_tensor("ones", TensorProto.FLOAT, [1, WIDTH], [1.0] * WIDTH),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)


def run(tmp_path):
    """What eight networks have come to hold, in bytes, and what lies in the home of the process. Its environment has
    nothing else: ONNX Runtime is silent where a variable says that tests run, and each CI has one of its own."""
    write_graph(tmp_path / "wide.onnx")
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "wide.onnx")],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return json.loads(ran.stdout), sorted(home.rglob("*"))


def test_micro_batches_of_any_size_leave_no_more_than_a_heap_keeps(tmp_path):
    held, found = run(tmp_path)
    assert held < 128 * MIB
    assert found == [], "ONNX Runtime keeps what it would tell its maker"
