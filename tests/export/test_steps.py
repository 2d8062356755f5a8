"""What is copied into a repository must run there by itself."""

import ast
import sys
from importlib.resources import files

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification

from encserve_export.checkpoint import load_checkpoint
from encserve_export.config import ExportConfig, Runtime
from encserve_export.families import FAMILIES
from encserve_export.steps import encode_bounds, sources_of
from encserve_export.tasks import TASKS

from .families.checkpoints import CASES, write_checkpoint

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


TYPED = [case for case, (config, _, _) in CASES.items() if FAMILIES[config.model_type].token_types]


@pytest.mark.parametrize("case", TYPED)
def test_the_encode_step_takes_what_the_tokenizer_gives_of_a_pair(case, tmp_path):
    folder = write_checkpoint(tmp_path / case, case, network=AutoModelForSequenceClassification, num_labels=1)
    config = ExportConfig(checkpoint=str(folder), name="ranker", repository=tmp_path, task="text-ranking")
    checkpoint = load_checkpoint(config)
    encoding = checkpoint.tokenizer("a text", "another", return_token_type_ids=True)
    tensors = {name: np.array(encoding[name]) for name in ("input_ids", "token_type_ids")}
    tensors["input_ids"][0] = len(checkpoint.tokenizer) - 1
    encode_bounds({"": checkpoint}, config).check({**tensors, "lengths": np.array([len(tensors["input_ids"])])})
