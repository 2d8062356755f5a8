"""A stand-in for the module that Triton gives its Python backend, so that a step's shell runs without a server."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

STEPS = (
    *(f"{step}{module}" for step in ("tokenize", "encode", "head") for module in ("_model", ".step")),
    *("request.call", "request.replies", "tokenize.door.marker", "tokenize.text_counts"),
    *("generate.answers.call", "generate.answers.counts", "generate.answers.looks", "generate.step", "generate_model"),
    *("cascade.member", "cascade.asked", "cascade.counts", "cascade.cascade_trace", "cascade.step"),
    "cascade_model",
    *(
        "instance.metrics",
        "instance.failures",
        "instance.batch_times",
        "instance.histogram",
        "head.answer_times",
        "head.answer_counts",
        "head.vector_sums",
    ),
)
"""What imports the module."""


class _Tensor:
    def __init__(self, name, value):
        self._name, self._value = name, value

    def name(self):
        return self._name

    def as_numpy(self):
        return self._value


class _Said(str):
    """A text that tests read as one, and steps by a call, as Triton has it."""

    def __call__(self):
        return str(self)


class _Metric:
    def __init__(self):
        self._value = 0

    def increment(self, by):
        self._value += by

    def value(self):
        return self._value


class _Request:
    """One request; what is sent to it later is in `answers`."""

    def __init__(
        self, parameters="", outputs=("sentence_embedding",), timeout_us=0, cancelled=False, request_id="", **tensors
    ):
        self._outputs = list(outputs)
        self._timeout_us, self._cancelled, self._id = timeout_us, cancelled, request_id
        self.answers = []
        self._parameters, self.tensors = parameters, {name: np.asarray(value) for name, value in tensors.items()}

    def request_id(self):
        return self._id

    def requested_output_names(self):
        return self._outputs

    def parameters(self):
        return self._parameters

    def timeout(self):
        return self._timeout_us

    def is_cancelled(self):
        assert not any(answer.is_last for answer in self.answers), "Triton ends with signal 11 here"
        return self._cancelled

    def get_response_sender(self):
        return SimpleNamespace(send=self._send)

    def _send(self, response, flags=0):
        response.is_last = bool(flags)
        self.answers.append(response)


@pytest.fixture
def triton(monkeypatch):
    """`triton_python_backend_utils` with what the steps use of it; `triton.Request` makes a request."""
    module = ModuleType("triton_python_backend_utils")
    module.Tensor = _Tensor
    module.TritonError = type(
        "TritonError",
        (),
        {"INVALID_ARG": "invalid", "INTERNAL": "internal", "UNAVAILABLE": "later", "CANCELLED": "cancelled"},
    )
    module.TritonError.__init__ = lambda self, message, code: self.__dict__.update(
        message=_Said(message), code=_Said(code)
    )
    module.TritonError.__call__ = lambda self: self
    module.TritonModelException = type("TritonModelException", (Exception,), {})
    module.InferenceResponse = lambda tensors=(), error=None: SimpleNamespace(
        tensors={tensor.name(): tensor.as_numpy() for tensor in tensors},
        error=error,
        has_error=lambda: error is not None,
    )
    module.MetricFamily = type(
        "MetricFamily", (), {"COUNTER": "counter", "GAUGE": "gauge", "__init__": lambda self, **_: None}
    )
    module.MetricFamily.Metric = lambda self, labels: _Metric()
    module.get_input_tensor_by_name = lambda request, name: _Tensor(name, request.tensors[name])
    module.logged = []
    module.Logger = SimpleNamespace(log_warn=module.logged.append, log_error=module.logged.append)
    module.TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
    module.Request = _Request
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", module)
    for step in STEPS:
        monkeypatch.delitem(sys.modules, f"encserve_server.steps.{step}", raising=False)
    yield module
    for step in STEPS:
        sys.modules.pop(f"encserve_server.steps.{step}", None)
