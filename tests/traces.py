"""One trace of a network for a whole run of the tests, whatever its weights are.

Tracing takes most of the time of a small export, and many tests export networks that differ in their weights alone.
What a trace comes out of is the network itself with all that it holds, the sample inputs, the options, and our code
that runs meanwhile; of large weights it matters only which of them are equal, and the graph of one network with the
weights of another is what that one gives (`test_traces`). Where a test has changed that code, but for a number or a
word, or the network cannot be written down, it is traced anew.
"""

import fcntl
import hashlib
import importlib
import io
import json
import pickle
import pkgutil
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import SimpleNamespace

import onnx
import pytest
import torch
from onnx import numpy_helper
from torch.onnx._internal.exporter._registration import ONNXRegistry
from transformers import PreTrainedConfig, PreTrainedModel

from encserve_export import attention, checkpoint, generation, network

TRACED = (attention, checkpoint, generation, network)
"""Packages whose code runs while a network is traced."""
LARGEST = 200_000_000
"""Bytes of a network above which writing it down takes longer than it may save."""
PLAIN = (bool, int, float, str, type(None))
UNSEEN = ("_name_or_path", "id2label", "label2id", "problem_type")
"""What a configuration says that no network looks at while it is traced; how many labels there are is its own field."""
KEPT_BY_TRANSFORMERS = "_cached_value"
"""How names end under which it keeps on a class of a network, ours too, what it has found out about its code."""
MANY = 16
"""Numbers of a tensor that are its own and could be any. Fewer, or all the same, may be folded into the graph."""


class Traces:
    """Stands in the place of `torch.onnx.export`, and keeps what it gave."""

    def __init__(self, folder, trace=torch.onnx.export):
        self.folder, self.trace, self.kept = folder, trace, True
        self.as_written, _ = code_in_force()

    def __call__(self, module, **options):
        code, way = code_in_force()
        changed = {at: value for at, value in code.items() if value != self.as_written.get(at)}
        told = self.as_written.keys() <= code.keys() and all(isinstance(value, PLAIN) for value in changed.values())
        described = describe(module, options, way | changed) if self.kept and told else None
        if not described:
            return self.trace(module, **options)
        places = self.folder / f"{described.name}.json"
        with self.alone(places):
            if not places.exists():
                graph = self.trace(module, **options).model_proto
                found = places_of(graph, described.weights)
                self.keep(graph, described.file_name(found))
                places.write_text(json.dumps(found))
            found = json.loads(places.read_text())
            file = self.folder / described.file_name(found)
            if not file.exists():
                self.keep(self.trace(module, **options).model_proto, file.name)
        graph = onnx.load(file)
        for tensor in graph.graph.initializer:
            if tensor.name in (found or ()):
                number, turned = found[tensor.name]
                tensor.raw_data = bytes_of(described.weights[number], turned=turned)
        return SimpleNamespace(model_proto=graph)

    @contextmanager
    def alone(self, file):
        """Who wants the same graph waits, and does not trace it as well."""
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def keep(self, graph, name):
        new = self.folder / f"{name}.new"
        onnx.save(graph, new)
        new.rename(self.folder / name)

    @contextmanager
    def anew(self):
        """Every network is traced, as in an export of a user."""
        self.kept = False
        try:
            yield
        finally:
            self.kept = True


class Description(pickle.Pickler):
    """Writes down a network without what does not matter for its graph: where it was read from, where it lies, and the
    numbers of its large weights, which are counted up in the order in which they are met."""

    def __init__(self, written):
        super().__init__(written)
        self.fast = True  # equal parts are written alike, whether they are one object or two
        self.written, self.numbers, self.weights = written, {}, []

    def reducer_override(self, value):
        if isinstance(value, torch.Tensor):
            digest = hashlib.sha256(bytes_of(value)).hexdigest()
            if isinstance(value, torch.nn.Parameter) and value.numel() >= MANY and value.min() != value.max():
                if digest not in self.numbers:
                    self.numbers[digest] = len(self.weights)
                    self.weights.append(value)
                digest = f"weight {self.numbers[digest]}"
            return str, (f"{value.dtype} {value.shape} {digest}",)
        if isinstance(value, PreTrainedConfig):
            stated = json.loads(value.to_json_string(use_diff=False)) | dict.fromkeys(UNSEEN, "")
            # Which attention the network calls is not among what a configuration writes.
            return str, (json.dumps(stated, sort_keys=True) + str(value._attn_implementation),)
        if isinstance(value, PreTrainedModel):
            return str, (type(value), {name: held for name, held in vars(value).items() if name != "name_or_path"})
        return NotImplemented

    @property
    def name(self):
        """Digest of the network, and of the way in which it is traced, whatever the large weights are."""
        return hashlib.sha256(self.written.getbuffer()).hexdigest()

    def file_name(self, places):
        """Where a graph is kept, of whose weights the `places` are known; None where they are not, and it is for these
        weights alone."""
        held = "" if places is not None else hashlib.sha256("".join(self.numbers).encode()).hexdigest()
        return f"{self.name}{held}.onnx"


def describe(module, options, way):
    """The description of a network and of the `way` in which it is traced; None where it cannot be written down or is
    large."""
    if sum(tensor.nbytes for tensor in module.state_dict().values()) > LARGEST:
        return None
    description = Description(io.BytesIO())
    try:
        description.dump((module, way, {**options, "dynamic_shapes": repr(options["dynamic_shapes"])}))
    except (AttributeError, RecursionError, TypeError, pickle.PicklingError):  # such as a function of a test
        return None
    own_code = b"transformers_modules" in description.written.getvalue()  # of a checkpoint, which a name does not tell
    return None if own_code else description


def places_of(graph, weights):
    """Initializer of a graph -> the number of the weight that it is, and whether it is turned. None where the graph
    holds many numbers that are none of the `weights`: they may have been computed from them."""
    known = {}
    for number, weight in enumerate(weights):
        for turned in (False, True)[: weight.dim()]:
            known.setdefault(hashlib.sha256(bytes_of(weight, turned=turned)).digest(), (number, turned))
    places = {}
    for tensor in graph.graph.initializer:
        place = known.get(hashlib.sha256(numpy_helper.to_array(tensor).tobytes()).digest())
        if place and tensor.HasField("raw_data"):
            places[tensor.name] = place
    held = [attribute.t for node in graph.graph.node for attribute in node.attribute if attribute.HasField("t")]
    held += [tensor for tensor in graph.graph.initializer if tensor.name not in places]
    for values in map(numpy_helper.to_array, held):
        if values.dtype.kind not in "iub" and values.size >= MANY and (values != values.flat[0]).any():
            return None
    return places


def bytes_of(tensor, *, turned=False):
    """Its numbers, row by row, or column by column if it is `turned`."""
    held = tensor.detach().T if turned else tensor.detach()
    return held.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def code_in_force():
    """What the names of our code stand for at this moment, each module, class and table by itself; and how it is to
    trace, which it knows from context variables."""
    modules = [
        importlib.import_module(found.name)
        for package in TRACED
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    code, way = {}, {}
    for module in modules:
        for name, value in vars(module).items():
            if isinstance(value, ContextVar):
                way[module.__name__, name] = repr(value.get(None))
            elif not name.startswith("__"):
                code[module.__name__, name] = stands_for(value)
    return code, way


def stands_for(value):
    """What changes where a test replaces `value` or something in it."""
    if isinstance(value, PLAIN):
        return value
    if type(value) is dict:
        return [(repr(key), id(held)) for key, held in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return [id(held) for held in value]
    if isinstance(value, type) and value.__module__.startswith("encserve_export"):
        own = {name: held for name, held in vars(value).items() if not name.endswith(KEPT_BY_TRANSFORMERS)}
        return id(value), [(name, id(held)) for name, held in own.items() if not name.startswith("__")]
    return id(value)


@contextmanager
def traces_in(folder):
    """Traces that are kept in `folder`; where this process keeps some already, as for the tests of another folder that
    have the fixture, those."""
    if isinstance(torch.onnx.export, Traces):
        yield torch.onnx.export
        return
    with pytest.MonkeyPatch.context() as patch:
        kept = Traces(folder)
        patch.setattr(torch.onnx, "export", kept)
        # The table of operators is made anew by each trace, and always the same.
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        yield kept
