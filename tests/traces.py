"""One trace of a network for a whole run of the tests.

Tracing takes most of the time of a small export, and many tests export the same network. What a trace comes out of is
the network itself with all that it holds, the sample inputs, the options, and our code that runs meanwhile. Where a
test has changed that code, but for a number or a word, or the network cannot be written down, it is traced anew.
"""

import fcntl
import hashlib
import importlib
import io
import json
import os
import pickle
import pkgutil
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace

import onnx
import pytest
import torch
from transformers import PreTrainedConfig, PreTrainedModel

from encserve_export import attention, checkpoint, network

TRACED = (attention, checkpoint, network)
"""Packages whose code runs while a network is traced."""
LARGEST = 200_000_000
"""Bytes of a network above which writing it down takes longer than it may save."""
PLAIN = (bool, int, float, str, type(None))


class Traces:
    """Stands in the place of `torch.onnx.export`, and keeps what it gave."""

    def __init__(self, folder, trace=torch.onnx.export):
        self.folder, self.trace, self.kept = folder, trace, True
        self.as_written, _ = code_in_force()

    def __call__(self, module, **options):
        code, way = code_in_force()
        changed = {at: value for at, value in code.items() if value != self.as_written.get(at)}
        told = self.as_written.keys() <= code.keys() and all(isinstance(value, PLAIN) for value in changed.values())
        name = self.kept and told and name_of(module, options, way | changed)
        if not name:
            return self.trace(module, **options)
        file = self.folder / f"{name}.onnx"
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # who wants the same graph waits, and does not trace it as well
            if not file.exists():
                new = file.with_suffix(".new")
                onnx.save(self.trace(module, **options).model_proto, new)
                new.rename(file)
        return SimpleNamespace(model_proto=onnx.load(file))

    @contextmanager
    def anew(self):
        """Every network is traced, as in an export of a user."""
        self.kept = False
        try:
            yield
        finally:
            self.kept = True


class Description(pickle.Pickler):
    """Writes down a network without what does not matter for its graph: where it was read from, and where it lies."""

    def reducer_override(self, value):
        if isinstance(value, torch.Tensor):
            held = value.detach().contiguous().flatten().view(torch.uint8).numpy()
            return str, (f"{value.dtype} {value.shape} {hashlib.sha256(held.data).hexdigest()}",)
        if isinstance(value, PreTrainedConfig):
            stated = json.loads(value.to_json_string(use_diff=False)) | {"_name_or_path": ""}
            # Which attention the network calls is not among what a configuration writes.
            return str, (json.dumps(stated, sort_keys=True) + str(value._attn_implementation),)
        if isinstance(value, PreTrainedModel):
            return str, (type(value), {name: held for name, held in vars(value).items() if name != "name_or_path"})
        return NotImplemented


def name_of(module, options, way):
    """Digest of a network and of the `way` in which it is traced; None where it cannot be written down or is large."""
    if sum(tensor.nbytes for tensor in module.state_dict().values()) > LARGEST:
        return None
    written = io.BytesIO()
    description = Description(written)
    description.fast = True  # equal parts are written alike, whether they are one object or two
    try:
        description.dump((module, way, {**options, "dynamic_shapes": repr(options["dynamic_shapes"])}))
    except (AttributeError, RecursionError, TypeError, pickle.PicklingError):  # such as a function of a test
        return None
    if b"transformers_modules" in written.getvalue():  # the code of a checkpoint, which a name does not tell
        return None
    return hashlib.sha256(written.getbuffer()).hexdigest()


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
        return id(value), [(name, id(held)) for name, held in vars(value).items() if not name.startswith("__")]
    return id(value)


@pytest.fixture(scope="session", autouse=True)
def traces(tmp_path_factory):
    """The traces of this run, which its processes share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "traces"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        kept = Traces(folder)
        patch.setattr(torch.onnx, "export", kept)
        yield kept


@pytest.fixture
def traced_anew(traces):
    """For tests of tracing itself."""
    with traces.anew():
        yield
