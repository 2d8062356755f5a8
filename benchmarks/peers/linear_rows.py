"""How many rows the linear layers of a packed graph compute for so many tokens, counted while the graph runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

LINEAR = ("MatMul", "Gemm", "MatMulInteger", "MatMulNBits")


def padding_in_linear_layers(graph: Path, lengths: Sequence[int]) -> float:
    """Rows beyond the tokens, as a share of the tokens, of all layers that multiply by trained weights.

    The texts of `lengths` run as one pack. A layer after the pooling has one row for each text, so only layers with
    at least as many rows as there are tokens count.

    Raises:
        ValueError: the graph has no layer with at least a row for each token.
    """
    model = onnx.load(graph)
    known = {each.name for each in model.graph.initializer}
    made_by = {output: node for node in model.graph.node for output in node.output}

    def trained(name: str) -> bool:
        node = made_by.get(name)
        return name in known or (node is not None and bool(node.input) and all(map(trained, node.input)))

    linear = [
        node.output[0]
        for node in model.graph.node
        if node.op_type in LINEAR and sum(trained(name) for name in node.input) >= 1
    ]
    present = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in linear if name not in present)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    tokens = int(sum(lengths))
    feed = {"input_ids": np.full(tokens, 1000), "lengths": np.array(lengths)}
    feed = {each.name: feed.get(each.name, np.zeros(tokens, np.int64)) for each in session.get_inputs()}
    results = session.run(linear, feed)
    rows = [array.size // array.shape[-1] for array in results]
    counted = [count for count in rows if count >= tokens]
    if not counted:
        raise ValueError(f"{graph} has no linear layer with a row for each of {tokens} tokens: {rows}")
    return float(sum(counted) / (len(counted) * tokens) - 1)
