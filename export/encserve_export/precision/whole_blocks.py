"""Attention in whole blocks: the padded view of a pack gets as many places as a multiple of 16.

A vector instruction adds 16 floats up at once, and what is left over is added up in another order. So where a text
shares a pack with a longer one, the sums of its attention could round differently, by 1e-7. In FP32 that is the end of
it; where activations are rounded to 8 bits or to bfloat16 afterwards, some of them fall on the other side, and MiniLM's
vectors moved by up to 4e-3 with their neighbours. With whole blocks the padding adds zeros to sums of one and the same
order, and each vector is the same to the last bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.network.graph_file import read_graph_file, write_graph_file
from encserve_export.texts.calibration import Calibration

BLOCK = 16
"""Floats in a vector register of AVX-512."""


def transform(graph: Path, checkpoint: Checkpoint, calibration: Calibration) -> dict[str, Any]:
    """Round the length of the padded view up, in the graph file; returns what the manifest says of it."""
    model = read_graph_file(graph)
    attend_in_whole_blocks(model)
    write_graph_file(model, graph)
    return {"attention_block": BLOCK}


def attend_in_whole_blocks(model: onnx.ModelProto) -> None:
    """Round the length of the longest text, which the graph reads from `lengths`, up to a multiple of `BLOCK`."""
    nodes = model.graph.node
    places = [place for place, node in enumerate(nodes) if node.op_type == "ReduceMax" and node.input[0] == "lengths"]
    for place in reversed(places):
        longest = nodes[place].output[0]
        nodes[place].output[0] = f"{longest}_of_texts"
        rounding = [
            helper.make_node("Add", [f"{longest}_of_texts", "block_less_one"], [f"{longest}_and_more"]),
            helper.make_node("Div", [f"{longest}_and_more", "block"], [f"{longest}_blocks"]),
            helper.make_node("Mul", [f"{longest}_blocks", "block"], [longest]),
        ]
        for offset, node in enumerate(rounding):
            nodes.insert(place + 1 + offset, node)
    if places:
        for name, value in (("block_less_one", BLOCK - 1), ("block", BLOCK)):
            model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
