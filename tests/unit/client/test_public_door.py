import inspect
import pkgutil
import subprocess
import sys
import textwrap
from pathlib import Path

import encserve
import encserve.testing
from encserve import AsyncClient, AsyncGrpcTransport, AsyncTransport, Client, GrpcTransport, Transport
from encserve.testing import AsyncFakeTransport, FakeTransport


def test_all_is_sorted_and_complete():
    defined = {name for name, value in vars(encserve).items() if not inspect.ismodule(value) and name[0] != "_"}
    assert sorted(encserve.__all__) == encserve.__all__
    assert set(encserve.__all__) == defined | {"__version__"}


def test_only_testing_is_a_public_module():
    modules = {module.name for module in pkgutil.iter_modules(encserve.__path__)}
    assert {name for name in modules if not name.startswith("_")} == {"testing"}


def test_typed():
    assert Path(encserve.__file__).with_name("py.typed").exists()


def test_import_is_light():
    heavy = ["torch", "transformers", "onnxruntime", "tokenizers", "encserve_export", "encserve_server"]
    code = f"import sys, encserve, encserve._cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_example_in_testing_runs():
    lines = encserve.testing.__doc__.splitlines()
    exec(textwrap.dedent("\n".join(line for line in lines if line.startswith("    ") or not line)), {})


VERBS = {
    "answer",
    "classify",
    "classify_tokens",
    "classify_zero_shot",
    "embed",
    "embed_sparse",
    "embed_tokens",
    "fill_mask",
    "rerank",
    "score",
}


def public_methods(cls):
    return {name: method for name, method in inspect.getmembers(cls, inspect.isfunction) if not name.startswith("_")}


def shape(function):
    """The signature, where what is asynchronous counts as what is not."""
    signature = str(inspect.signature(function))
    for before, after in (("'", ""), ("collections.abc.", ""), ("Async", ""), ("Iterable[str] | Iterable", "Iterable")):
        signature = signature.replace(before, after)
    return signature.replace("[Embeddings, None, None]", "[Embeddings, None]")


def test_async_client_mirrors_client():
    sync, async_ = public_methods(Client), public_methods(AsyncClient)
    assert sync.keys() == async_.keys()
    assert sync.keys() == {"embed_iter", "models", "pipeline", "close", *VERBS}
    for name, method in sync.items():
        assert shape(method) == shape(async_[name]), name
        assert method.__doc__ == async_[name].__doc__, name
    assert shape(Client.__init__) == shape(AsyncClient.__init__).replace("coalesce: bool | float = True, ", "")


def test_all_transports_have_the_shape_of_the_protocol():
    protocol = public_methods(Transport)
    for cls in (AsyncTransport, GrpcTransport, AsyncGrpcTransport, FakeTransport, AsyncFakeTransport):
        methods = public_methods(cls)
        assert methods.keys() - {"ask"} == protocol.keys(), cls
        for name, method in protocol.items():
            assert shape(methods[name]) == shape(method), (cls, name)
