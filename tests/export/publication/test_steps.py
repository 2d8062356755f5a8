"""What is copied into a repository must run there by itself."""

import ast
import subprocess
import sys
import tokenize

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification

from encserve_export.attention.families import FAMILIES
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.checkpoint.tasks.table import TASKS
from encserve_export.config import ExportConfig
from encserve_export.engines.step_sources import copy_sources, imports_of, source_of, sources_of
from encserve_export.publication.steps import encode_bounds
from export.families.checkpoints import CASES, write_checkpoint

ALLOWED = {"numpy", "onnxruntime", "openvino", "tokenizers", "triton_python_backend_utils"}


STEPS = {
    f"{step} {module}": sources_of(step, module)
    for step, modules in (
        ("encode", ["encode"]),
        ("tokenize", sorted({f"tokenize.layouts.{task.layout}" for task in TASKS.values()})),
        ("head", sorted({f"head.answers.{task.head}" for task in TASKS.values()})),
    )
    for module in modules
}


@pytest.mark.parametrize("modules", STEPS.values(), ids=STEPS)
def test_models_need_no_package_that_triton_images_lack(modules):
    for module in modules:
        assert set(imports_of(module)) <= set(modules), module
        imported = set()
        for node in ast.walk(ast.parse(source_of(module))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
            elif isinstance(node, ast.Import):
                imported.update(alias.name.split(".")[0] for alias in node.names)
        assert imported - set(sys.stdlib_module_names) <= ALLOWED, module


def test_the_encode_step_brings_the_module_of_every_runtime():
    assert {"encode.network.onnxruntime_network", "encode.network.openvino_network"} <= set(sources_of("encode"))


def test_a_step_brings_what_its_modules_import_and_no_more():
    copied = sources_of("head", "head.answers.vectors.text_vectors")
    assert copied[0] == "head_model"
    rooms = {"head", "head.answers", "head.answers.vectors"}
    assert {*rooms, "head.answers.windows", "head.loading", "request.options"} <= set(copied)
    others = ("encode", "tokenize", "head.answers.spans", "head.answers.entities")
    assert not any(module.startswith(others) for module in copied)


def as_triton_loads(*folders):
    """What a process of Triton's Python backend imports of version folders, in an interpreter of its own."""
    script = f"""
import sys, types
sys.modules["triton_python_backend_utils"] = types.ModuleType("triton_python_backend_utils")
for folder in {[str(folder) for folder in folders]!r}:
    sys.path += [folder, folder.rsplit("/", 1)[0]]  # as the backend's stub does
    version = folder.rsplit("/", 1)[1]
    model = __import__(version + ".model", fromlist=["TritonPythonModel"]).TritonPythonModel
    print(model.__module__, sys.modules[model.__module__].__file__)
import tokenize
print(tokenize.__file__)
print(*(name for name in sys.modules if name.startswith("encserve")))
"""
    found = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    return found.stdout.splitlines()


def test_versions_of_a_step_are_imported_side_by_side_and_shadow_no_module(tmp_path):
    """Triton puts the folder on the path, where `tokenize` must stay the module of the standard library."""
    folders = [tmp_path / "minilm_tokenize" / version for version in ("1", "2")]
    for folder in folders:
        copy_sources(sources_of("tokenize", "tokenize.layouts.single_texts"), folder)
    first, second, standard, ours = as_triton_loads(*folders)
    assert first == f"1.tokenize.step {folders[0]}/tokenize/step.py"
    assert second == f"2.tokenize.step {folders[1]}/tokenize/step.py"
    assert standard == tokenize.__file__
    assert ours == ""


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
