"""A stand-in for TensorRT's Python module that records what it is asked for, and runs plans in ONNX Runtime on a CPU.

It has what `tensorrt_plan` and `plan_session` call, under the names of TensorRT 10.12 to 11.
"""

import ctypes
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime

from encserve_export.tensorrt_plan import Target


class FakeTensorRt:
    """The module. `refuses` are errors of the parser as (operator, node, text); `fails` is what the builder says."""

    class ILogger:
        Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2)

    class Logger(ILogger):
        ERROR = 1

        def __init__(self, severity):
            pass

    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    BuilderFlag = SimpleNamespace(TF32="TF32")
    TensorIOMode = SimpleNamespace(INPUT="in", OUTPUT="out")

    def __init__(self, version="10.13.3.9", refuses=(), fails=""):
        self.__version__ = version
        self.refuses, self.fails = refuses, fails
        self.calls = []
        self.timing_caches = []
        self.batches = []

    def Builder(self, log):
        return _Builder(self, log)

    def OnnxParser(self, network, log):
        return _Parser(self, network)

    def Runtime(self, log):
        return SimpleNamespace(deserialize_cuda_engine=lambda plan: _Engine(self, plan))


class _Builder:
    def __init__(self, trt, log):
        self._trt, self._log = trt, log

    def create_network(self, flags):
        self._trt.calls.append(("create_network", flags))
        return SimpleNamespace(graph=None)

    def create_builder_config(self):
        return _Config(self._trt)

    def create_optimization_profile(self):
        shapes = {}
        return SimpleNamespace(shapes=shapes, set_shape=lambda name, *sizes: shapes.update({name: sizes}))

    def build_serialized_network(self, network, config):
        if self._trt.fails:
            self._log.log(self._trt.ILogger.Severity.ERROR, self._trt.fails)
            return None
        (profile,) = config.profiles
        return json.dumps(profile.shapes).encode() + b"\n" + Path(network.graph).read_bytes()


class _Parser:
    def __init__(self, trt, network):
        self._trt, self._network = trt, network
        self.num_errors = len(trt.refuses)

    def parse_from_file(self, file):
        self._network.graph = file
        return not self.num_errors

    def get_error(self, index):
        operator, node, text = self._trt.refuses[index]
        return SimpleNamespace(node_operator=lambda: operator, node_name=lambda: node, desc=lambda: text)


class _Config:
    builder_optimization_level = 3

    def __init__(self, trt):
        self._trt = trt
        self.profiles = []

    def clear_flag(self, flag):
        self._trt.calls.append(("clear_flag", flag))

    def add_optimization_profile(self, profile):
        self.profiles.append(profile)

    def create_timing_cache(self, known):
        return known

    def set_timing_cache(self, cache, ignore_mismatch):
        assert ignore_mismatch is False
        self._trt.timing_caches.append(cache)
        return b"another GPU" not in cache

    def get_timing_cache(self):
        return SimpleNamespace(serialize=lambda: memoryview(b"timings"))


class _Engine:
    def __init__(self, trt, plan):
        shapes, _, graph = plan.partition(b"\n")
        self._trt, self._shapes = trt, json.loads(shapes)
        self._session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self._inputs = [each.name for each in self._session.get_inputs()]
        self._outputs = [each.name for each in self._session.get_outputs()]
        self._symbols = {each.name: each.shape for each in (*self._session.get_inputs(), *self._session.get_outputs())}
        self.num_io_tensors = len(self._inputs) + len(self._outputs)

    def get_tensor_name(self, index):
        return [*self._inputs, *self._outputs][index]

    def get_tensor_mode(self, name):
        return "in" if name in self._inputs else "out"

    def create_execution_context(self):
        self._given, self._at = {}, {}
        return self

    def set_input_shape(self, name, shape):
        least, _, most = self._shapes[name]
        assert least[0] <= shape[0] <= most[0], f"{name} {shape} is outside of its profile {self._shapes[name]}"
        self._given[name] = shape

    def get_tensor_shape(self, name):
        rows, width = self._symbols[name]
        known = {self._symbols[given][0]: shape[0] for given, shape in self._given.items()}
        return (known[rows], width)

    def set_tensor_address(self, name, address):
        self._at[name] = address

    def execute_async_v3(self, stream):
        feed = {name: _array(self._at[name], self._given[name], ctypes.c_int64) for name in self._inputs}
        self._trt.batches.append({name: values.copy() for name, values in feed.items()})
        for name, rows in zip(self._outputs, self._session.run(self._outputs, feed), strict=True):
            _array(self._at[name], rows.shape, ctypes.c_float)[:] = rows
        return True


def _array(address, shape, kind):
    size = int(np.prod(shape))
    return np.ctypeslib.as_array((kind * size).from_address(address)).reshape(shape)


def fake_target(**settings):
    """A host with a GPU and TensorRT that are not there."""
    trt = FakeTensorRt(**settings)
    return Target(tensorrt=trt, version=trt.__version__, gpu="NVIDIA Fake", architecture="sm_90")
