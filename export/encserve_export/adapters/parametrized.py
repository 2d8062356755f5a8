"""Checkpoints that keep the adapters of several tasks among their weights, as jina-embeddings-v3 does.

Such a file has, for each layer, the weights of the base as `parametrizations.weight.original`, and the narrow matrices
of all tasks in two tensors. A task adds `lora_B @ lora_A * alpha / rank`, and `lora_A @ lora_B` to a table of tokens.
The network is that of `JinaEmbeddingsV3Model` of transformers, whose layers have other names, and which keeps queries,
keys and values apart. Here the checkpoint is laid out again as transformers and PEFT read it: the base alone, beside a
folder for each task.
"""

from __future__ import annotations

import atexit
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.json_file import read_json, read_needed_object, read_object
from encserve_repository.layout import NAME

from .adapter_config import CONFIG_FILE

TASKS = "lora_adaptations"
"""The key of `config.json` that names the tasks, in the order of their matrices."""
_OF_TASKS = ("lora_rank", "lora_alpha", "lora_dropout_p", "lora_main_params_trainable", "load_trained_adapters")
_CONFIG, _WEIGHTS, _MODULES, _SENTENCE = (
    *("config.json", "model.safetensors", "modules.json"),
    "config_sentence_transformers.json",
)
_KEY = re.compile(r"(?:roberta\.)?(?P<layer>.+)\.parametrizations\.weight\.(?P<part>original|0\.lora_A|0\.lora_B)")
_NAMES = (
    (r"encoder\.layers\.(\d+)\.mixer\.out_proj", r"layers.\1.self_attn.o_proj"),
    (r"encoder\.layers\.(\d+)\.mlp\.(fc1|fc2)", r"layers.\1.mlp.\2"),
    (r"(embeddings\.(?:word|token_type)_embeddings|pooler\.dense)", r"\1"),
)
"""Names of layers, and what transformers calls them."""
_TOGETHER = re.compile(r"encoder\.layers\.(\d+)\.mixer\.Wqkv")
"""A layer that gives queries, keys and values."""


def has_tasks(folder: Path) -> bool:
    """Whether the checkpoint in `folder` keeps adapters of tasks among its weights."""
    return bool(tasks_in(folder))


def tasks_in(folder: Path) -> tuple[str, ...]:
    """The tasks whose adapters the checkpoint in `folder` keeps among its weights; empty of most checkpoints."""
    return tuple(read_object(folder / _CONFIG).get(TASKS) or ())


@lru_cache(maxsize=1)
def laid_out(folder: Path, *, weights: bool) -> Path:
    """A folder with the checkpoint in `folder` as transformers and PEFT read it, which is taken away when this process
    ends; without `weights` it has none, and no adapters.

    Raises:
        CheckpointError: a file is missing or damaged, or a tensor is missing or has another shape than the tasks need.
        Unsupported: a setting, or a layer with adapters, that is not known.
    """
    target = Path(tempfile.mkdtemp(prefix=f"encserve-tasks-of-{folder.resolve().name}-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    stated = read_needed_object(folder / _CONFIG)
    tasks = _tasks(folder / _CONFIG, stated)
    for task in tasks:
        if (folder / task).exists():
            raise CheckpointError(
                f"{folder} has an entry named {task} beside the weights of the task {task} in {_WEIGHTS}, which are "
                "laid out in a folder of that name: rename the entry, or leave it out"
            )
    written: dict[str, Callable[[], Any]] = {
        _CONFIG: lambda: _config(folder / _CONFIG, stated),
        _MODULES: lambda: _modules(folder / _MODULES),
        _SENTENCE: lambda: _sentence(folder / _SENTENCE, stated.get("task_instructions") or {}),
    }
    for entry in folder.iterdir():
        if entry.name not in written and entry.suffix not in (".safetensors", ".bin", ".py"):
            (target / entry.name).symlink_to(entry.resolve())
    for name, content in written.items():
        if name != _MODULES or (folder / name).is_file():
            (target / name).write_text(json.dumps(content(), ensure_ascii=False, indent=2), encoding="utf-8")
    if weights:
        _write_weights(folder / _WEIGHTS, target, tasks, int(stated["lora_rank"]), float(stated["lora_alpha"]))
    return target


def _tasks(file: Path, stated: Mapping[str, Any]) -> list[str]:
    tasks = stated[TASKS]
    if not isinstance(tasks, list) or not all(isinstance(task, str) and NAME.fullmatch(task) for task in tasks):
        raise CheckpointError(f"{file} has {TASKS} {tasks!r}; a list of names is expected")
    wanted = {"load_trained_adapters": True, "position_embedding_type": "rotary"}
    for key, value in wanted.items():
        if stated.get(key) != value:
            raise Unsupported(f"{file} has {TASKS} and {key} {stated.get(key)!r}; supported is {value!r}")
    for key in ("lora_rank", "lora_alpha"):
        if not isinstance(stated.get(key), int | float) or not stated[key] > 0:
            raise CheckpointError(f"{file} has {key} {stated.get(key)!r}; a number above 0 is expected")
    return tasks


def _config(file: Path, stated: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of the base in the class that transformers has for it."""
    if stated.get("model_type") not in ("xlm-roberta", "jina_embeddings_v3"):
        raise Unsupported(f"{file} has {TASKS} and model type {stated.get('model_type')!r}; supported is 'xlm-roberta'")
    own = (TASKS, *_OF_TASKS, "task_instructions", "auto_map", "rotary_emb_base", "architectures", "model_type")
    nothing = ("emb_pooler", "truncate_dim")
    rest = {key: value for key, value in stated.items() if key not in own and (key not in nothing or value is not None)}
    base = stated.get("rotary_emb_base", 10_000.0)
    rotary = {"rope_parameters": {"rope_type": "default", "rope_theta": base}} | rest
    return {"model_type": "jina_embeddings_v3", "architectures": ["JinaEmbeddingsV3Model"], **rotary}


def _modules(file: Path) -> list[dict[str, Any]]:
    """The modules, of which the network is one of the checkpoint's own code, that takes the name of a task."""
    modules: list[dict[str, Any]] = []
    for module in read_json(file):
        if module.get("type") == "custom_st.Transformer" and module.get("kwargs") in (None, [], ["task"]):
            module = {key: value for key, value in module.items() if key != "kwargs"}
            module["type"] = "sentence_transformers.models.Transformer"
        modules.append(module)
    return modules


def _sentence(file: Path, instructions: Mapping[str, str]) -> dict[str, Any]:
    """The prompts, which both files may state. Raises CheckpointError where they differ."""
    stated = read_object(file)
    prompts = stated.get("prompts") or {}
    for task, prompt in instructions.items():
        if prompts.setdefault(task, prompt) != prompt:
            raise CheckpointError(f"the prompt of the task {task} is another in {file} than in {_CONFIG} beside it")
    return {**stated, "prompts": prompts}


def _write_weights(file: Path, target: Path, tasks: list[str], rank: int, alpha: float) -> None:
    if not file.is_file():
        raise CheckpointError(f"{file.parent} has no {_WEIGHTS}, in which its tasks are looked for")
    base: dict[str, Tensor] = {}
    adapters: dict[str, dict[str, Tensor]] = {task: {} for task in tasks}
    try:
        with safe_open(file, "pt") as opened:
            keys = {*opened.keys()}
            for key in sorted(keys):
                found = _KEY.fullmatch(key)
                if found is None:
                    base[key] = opened.get_tensor(key)
                elif found["part"] == "original":
                    base[key.replace("parametrizations.weight.original", "weight")] = opened.get_tensor(key)
                elif found["part"] == "0.lora_A":
                    other = key.removesuffix("A") + "B"
                    if other not in keys:
                        raise CheckpointError(f"{file} has {key} and no {other}")
                    pair = opened.get_tensor(key), opened.get_tensor(other)
                    _check(file, key, pair, tasks, rank)
                    for number, task in enumerate(tasks):
                        adapters[task] |= _of_peft(file, found["layer"], pair[0][number], pair[1][number])
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"the weights in {file} cannot be read: {error}") from error
    save_file(base, target / _WEIGHTS, {"format": "pt"})
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "bias": "none", "init_lora_weights": True}
    for task, tensors in adapters.items():
        if not tensors:
            raise CheckpointError(f"{file} has no tensors for the tasks that {_CONFIG} names, such as {task}")
        (target / task).mkdir()
        named = {f"base_model.model.{name}": tensor.contiguous() for name, tensor in tensors.items()}
        save_file(named, target / task / "adapter_model.safetensors", {"format": "pt"})
        (target / task / CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")


def _check(file: Path, key: str, pair: tuple[Tensor, Tensor], tasks: list[str], rank: int) -> None:
    shapes = [list(each.shape) for each in pair]
    expected = (len(tasks), rank)
    # Linear layers have (tasks, rank, in) and (tasks, out, rank), tables (tasks, rows, rank) and (tasks, rank, out).
    if all(len(shape) == 3 for shape in shapes) and (
        (shapes[0][0], shapes[0][1], shapes[1][0], shapes[1][2]) == expected * 2
        or (shapes[0][0], shapes[0][2], shapes[1][0], shapes[1][1]) == expected * 2
    ):
        return
    raise CheckpointError(
        f"{file}: {key} and the tensor that belongs to it have the shapes {shapes[0]} and {shapes[1]}, which are not "
        f"of {len(tasks)} tasks with matrices of rank {rank}"
    )


def _of_peft(file: Path, layer: str, a: Tensor, b: Tensor) -> dict[str, Tensor]:
    """What one task adds to a layer, in the names of transformers and of PEFT."""
    if together := _TOGETHER.fullmatch(layer):
        return dict(_apart(together[1], a, b))
    for pattern, name in _NAMES:
        if re.fullmatch(pattern, layer):
            module = re.sub(pattern, name, layer)
            if module.endswith("_embeddings"):  # kept the other way round
                return {f"{module}.lora_embedding_A": a.T, f"{module}.lora_embedding_B": b.T}
            return {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b}
    raise Unsupported(f"{file} has adapters of {layer}, a layer that is not known here: what they add would be lost")


def _apart(number: str, a: Tensor, b: Tensor) -> Iterator[tuple[str, Tensor]]:
    for name, part in zip(("q_proj", "k_proj", "v_proj"), b.chunk(3), strict=True):
        yield f"layers.{number}.self_attn.{name}.lora_A.weight", a.clone()
        yield f"layers.{number}.self_attn.{name}.lora_B.weight", part
