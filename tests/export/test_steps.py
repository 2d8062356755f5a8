"""What is copied into a repository must run there by itself."""

import ast
import sys
from importlib.resources import files

import pytest

from encserve_export.steps import sources_of
from encserve_export.tasks import TASKS

ALLOWED = {"numpy", "onnxruntime", "tokenizers", "triton_python_backend_utils"}


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


@pytest.mark.parametrize("step", ["tokenize", "encode", "head"])
@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_step_brings_exactly_the_modules_it_needs(task, step):
    first, *rest = sources_of(TASKS[task])[step]
    by_name = {"tokenize": [f"{TASKS[task].layout}.py"], "head": [f"{TASKS[task].head}.py"]}.get(step, [])
    needed, waiting = set(by_name), [first, *by_name]
    while waiting:
        siblings, _ = imports(waiting.pop())
        waiting.extend(siblings - needed)
        needed |= siblings
    assert needed == set(rest)
    assert len(rest) == len(set(rest))


ALL_SOURCES = {source for task in TASKS.values() for sources in sources_of(task).values() for source in sources}


@pytest.mark.parametrize("source", sorted(ALL_SOURCES))
def test_models_need_no_package_that_triton_images_lack(source):
    _, others = imports(source)
    assert others - set(sys.stdlib_module_names) <= ALLOWED
