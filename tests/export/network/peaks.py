"""How much memory a graph takes for some texts, as a process of its own sees it."""

import json
import subprocess
import sys

_ASK = """
import json, sys
import numpy as np, onnxruntime
options, shrink = onnxruntime.SessionOptions(), onnxruntime.RunOptions()
options.enable_mem_pattern = False
options.enable_cpu_mem_arena = bool(json.loads(sys.argv[3]))
if options.enable_cpu_mem_arena:
    shrink.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
options.intra_op_num_threads = 1
network = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
def ask(lengths):
    names = [value.name for value in network.get_inputs() if value.name != "lengths"]
    feed = {name: np.zeros(sum(lengths), np.int64) for name in names}
    network.run(None, feed | {"lengths": np.array(lengths)}, shrink)
def memory(kind):
    (line,) = [line for line in open("/proc/self/status") if line.startswith(kind)]
    return int(line.split()[1]) * 1024
ask([5, 6, 7])
open("/proc/self/clear_refs", "w").write("5")  # the peak is measured from here
before = memory("VmRSS")
ask(json.loads(sys.argv[2]))
print(memory("VmHWM") - before)
"""
"""Asks the graph sys.argv[1] for texts of the lengths sys.argv[2], with an arena if sys.argv[3] says so."""


def peak_of(graph, lengths, *, arena=False):
    """Bytes that texts of `lengths` take at the peak, beside what the loaded graph holds; with an `arena`, which keeps
    what is given back, and shrinks after each batch, as in Triton's backend."""
    command = [sys.executable, "-c", _ASK, graph, json.dumps(lengths), json.dumps(arena)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
