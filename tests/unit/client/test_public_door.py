import ast
import inspect
import pkgutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import get_type_hints

import pytest

import encserve
import encserve.testing
from encserve import AsyncClient, AsyncGrpcTransport, AsyncTransport, Client, GrpcTransport, Transport
from encserve._calls import T, documented
from encserve._verbs import table
from encserve.testing import AsyncFakeTransport, FakeTransport

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def test_all_is_sorted_and_complete():
    defined = {name for name, value in vars(encserve).items() if not inspect.ismodule(value) and name[0] != "_"}
    assert sorted(encserve.__all__) == encserve.__all__
    assert set(encserve.__all__) == defined | {"__version__"}


def test_public_modules():
    modules = {module.name for module in pkgutil.iter_modules(encserve.__path__)}
    assert {name for name in modules if not name.startswith("_")} == {"local", "ray", "testing"}


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
    "embed_hybrid",
    "embed_spans",
    "embed_sparse",
    "embed_tokens",
    "extract_entities",
    "fill_mask",
    "generate",
    "rerank",
    "score",
}


@pytest.mark.parametrize("cls", [Client, AsyncClient])
def test_editors_which_run_nothing_see_the_class_and_what_each_verb_does(cls):
    hints = get_type_hints(documented)
    assert hints["cls"] == hints["return"] == type[T], "its instances would be Any"
    tree = ast.parse(Path(inspect.getfile(cls)).read_text())
    written = {each.name: ast.get_docstring(each) for each in ast.walk(tree) if isinstance(each, DEFINITIONS)}
    assert {name: written[name] for name in VERBS} == {
        name: verb.about.strip().splitlines()[0] for name, verb in table.VERBS.items()
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
    assert sync.keys() == {"embed_iter", "models", "pipeline", "close", "generate_stream", *VERBS}
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
