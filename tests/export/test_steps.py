"""What is copied into a repository must run there by itself."""

import ast
import sys
from importlib.resources import files

import pytest

from encserve_export.config import Runtime
from encserve_export.steps import sources_of
from encserve_export.tasks import TASKS

ALLOWED = {"numpy", "onnxruntime", "openvino", "tokenizers", "triton_python_backend_utils"}


def imports(source):
    """Names of the modules that a source imports: siblings, and others."""
    siblings, others = set(), set()
    for node in ast.walk(ast.parse((files("encserve_server.models") / source).read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1
            siblings.add(f"{node.module}.py")
        elif isinstance(node, ast.ImportFrom):
            others.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            others.update(alias.name.split(".")[0] for alias in node.names)
    return siblings, others


@pytest.mark.parametrize("runtime", list(Runtime))
@pytest.mark.parametrize("step", ["tokenize", "encode", "head"])
@pytest.mark.parametrize("task", TASKS)
def test_a_step_brings_exactly_the_modules_it_needs(task, step, runtime):
    sources = sources_of(TASKS[task], runtime)[step]
    chosen_by_settings = {
        "tokenize": TASKS[task].layout,
        "encode": f"{runtime.value}_network",
        "head": TASKS[task].head,
    }
    needed, waiting = set(), {sources[0], f"{chosen_by_settings[step]}.py"}
    while waiting:
        source = waiting.pop()
        needed.add(source)
        waiting |= imports(source)[0] - needed
    assert needed == set(sources)
    assert len(sources) == len(set(sources))


@pytest.mark.parametrize("runtime", list(Runtime))
@pytest.mark.parametrize("task", TASKS)
def test_models_need_no_package_that_triton_images_lack(task, runtime):
    for sources in sources_of(TASKS[task], runtime).values():
        for source in sources:
            _, others = imports(source)
            assert others - set(sys.stdlib_module_names) <= ALLOWED, source
