"""A stand-in for TensorRT's Python module that records what it is asked for, and runs plans in ONNX Runtime on a CPU.

It has what `plan` and `plan_session` of `engines.tensorrt_backend` call, under the names of TensorRT 10.12 to 11.
"""

import ctypes
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime

from encserve_export.engines.tensorrt_backend.plan import Target


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

    MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")

    def __init__(self, version="10.13.3.9", refuses=(), fails="", takes_profile=True, keeps_timings=True):
        self.__version__ = version
        self.takes_profile, self.keeps_timings = takes_profile, keeps_timings
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
        return 0 if self._trt.takes_profile else -1

    def set_memory_pool_limit(self, pool, size):
        self._trt.calls.append(("set_memory_pool_limit", pool, size))

    def create_timing_cache(self, known):
        return known if self._trt.keeps_timings else None

    def set_timing_cache(self, cache, ignore_mismatch):
        assert ignore_mismatch is False
        self._trt.timing_caches.append(cache)
        return b"another GPU" not in cache

    def get_timing_cache(self):
        return SimpleNamespace(serialize=lambda: memoryview(b"timings")) if self._trt.keeps_timings else None


class _Engine:
    device_memory_size_v2 = 123_456_789

    def __init__(self, trt, plan):
        shapes, _, self._graph = plan.partition(b"\n")
        self._trt, self._shapes = trt, json.loads(shapes)

    def create_execution_context(self):
        self._given, self._at = {}, {}
        self._session = onnxruntime.InferenceSession(self._graph, providers=["CPUExecutionProvider"])
        self._inputs = [each.name for each in self._session.get_inputs()]
        self._outputs = [each.name for each in self._session.get_outputs()]
        self._symbols = {each.name: each.shape for each in (*self._session.get_inputs(), *self._session.get_outputs())}
        self.num_io_tensors = len(self._inputs) + len(self._outputs)
        return self

    def get_tensor_name(self, index):
        return [*self._inputs, *self._outputs][index]

    def get_tensor_mode(self, name):
        return "in" if name in self._inputs else "out"

    def set_input_shape(self, name, shape):
        least, _, most = self._shapes[name]
        assert least[0] <= shape[0] <= most[0], f"{name} {shape} is outside of its profile {self._shapes[name]}"
        self._given[name] = shape

    def get_tensor_shape(self, name):
        rows, width = self._symbols[name]
        known = {self._symbols[given][0]: shape[0] for given, shape in self._given.items()}
        return (known[rows], width)

    def set_tensor_address(self, name, address):
        assert address, f"{name} has no address, which TensorRT refuses"
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
    return Target(
        tensorrt=trt, version=trt.__version__, gpu="NVIDIA Fake", architecture="sm_90", memory_bytes=80 * 2**30
    )
