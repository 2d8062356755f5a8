"""Sessions of graphs in memory, of any size."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from encserve_export.attention.fused_attention import written_out
from encserve_export.network.graph_file import is_large
from encserve_server.steps.encode.host.cpu_flags import read_cpu_flags
from encserve_server.steps.encode.network.onnxruntime_network import exact_integer_sums

_PROVIDERS = ["CPUExecutionProvider"]
_LEAST_BYTES = 1_024
"""A smaller tensor stays in the graph: ONNX Runtime reads shapes and axes before it is given any weights."""


def session_of(
    graph: onnx.ModelProto,
    options: onnxruntime.SessionOptions = None,
    *,
    weights: Mapping[str, NDArray[np.generic]] = MappingProxyType({}),
) -> onnxruntime.InferenceSession:
    """A session of a graph in memory, on the CPU, with sums of integers as they are where it is served. The `options`
    are the session's own from then on: what it needs besides is written into them. `weights` are those that
    `taken_apart` took out of the graph; sessions share their memory."""
    graph, options = written_out(graph), options or onnxruntime.SessionOptions()
    exact_integer_sums(options, read_cpu_flags())  # as served
    if is_large(graph):
        graph, more = taken_apart(graph)
        weights = {**weights, **more}
    if weights:
        return _SessionWithWeights(graph, options, weights)
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=_PROVIDERS)


class _SessionWithWeights(onnxruntime.InferenceSession):  # type: ignore[misc]
    """A session of a graph whose weights lie beside it in memory, as one message may not hold them."""

    def __init__(
        self, shell: onnx.ModelProto, options: onnxruntime.SessionOptions, weights: Mapping[str, NDArray[np.generic]]
    ) -> None:
        names = [each.name for each in shell.graph.initializer if each.data_location == TensorProto.EXTERNAL]
        self._weights = [onnxruntime.OrtValue.ortvalue_from_numpy(weights[name]) for name in names]
        """The session only points to their memory."""
        options.add_external_initializers(names, self._weights)
        super().__init__(shell.SerializeToString(), options, providers=_PROVIDERS)


def taken_apart(graph: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, NDArray[np.generic]]]:
    """The graph without its larger weights, and these by name. No weight is copied into a second graph on the way."""
    weights, of = dict[str, NDArray[np.generic]](), graph.graph
    inner = onnx.GraphProto(name=of.name, node=of.node, input=of.input, output=of.output, value_info=of.value_info)
    shell = onnx.ModelProto(
        ir_version=graph.ir_version, opset_import=graph.opset_import, functions=graph.functions, graph=inner
    )
    for tensor in of.initializer:
        if len(tensor.raw_data) < _LEAST_BYTES:
            shell.graph.initializer.append(tensor)
            continue
        weights[tensor.name] = numpy_helper.to_array(tensor)
        named = TensorProto(
            name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, data_location=TensorProto.EXTERNAL
        )
        named.external_data.add(key="location", value="memory")
        shell.graph.initializer.append(named)
    return shell, weights
