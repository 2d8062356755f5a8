"""Loading a Hugging Face checkpoint: network, tokenizer, and what its files say of how to use them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from optimum.exporters.tasks import TasksManager
from tokenizers import Tokenizer, normalizers
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .config import ExportConfig
from .errors import CheckpointError, InvalidConfig, Unsupported
from .families import Family, check_model_type, check_rotary_embedding, family_of
from .reference_tokenizers import check_conversion
from .remote_code import check_commit, check_trusted_code, hint, refuse_needed_code
from .sentence_modules import SentenceModules, read_sentence_modules, stated_task
from .tasks import GRAPH_INPUTS, PAIRED, TASKS, Task, labels_of, task_of
from .trained_dimensions import trained_dimensions

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "README.md"]
_NO_MAX_LENGTH = 10**9  # transformers gives 1e30 where a tokenizer states no length
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Checkpoint:
    """An encoder checkpoint in memory, in FP32."""

    source: str
    """The folder's name or the hub id that was asked for."""
    revision: str | None
    """Commit of a hub checkpoint."""
    code: str | None
    """The state of the Python code that it brings and that was run; None where none was."""
    licence: str | None
    """What the model card states."""
    task: Task
    config: PreTrainedConfig
    family: Family
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    modules: SentenceModules
    max_length: int
    """Tokens of a text that the network sees, special tokens included."""
    trained_dimensions: tuple[int, ...]
    """Lengths of vectors that it was trained for, besides the whole; empty where it does not say."""
    shared_inputs: tuple[str, ...] = ()
    """What the graph takes for the sake of other heads on the same encoder."""

    @property
    def encoder(self) -> PreTrainedModel:
        """The network without its head."""
        return self.model.base_model  # type: ignore[return-value]

    @property
    def dimensions(self) -> int:
        """Columns of the graph's output: components of a sentence embedding, labels, tokens of the vocabulary."""
        if self.task.name == "question-answering":
            return 2
        if self.task.network is transformers.AutoModelForMaskedLM:
            return int(self.config.vocab_size)
        if self.task.logits:
            return len(labels_of(self.config))
        dense = self.modules.dense
        return int(dense[-1][0].out_features if dense else self.config.hidden_size)  # type: ignore[index]

    @property
    def graph_inputs(self) -> tuple[str, ...]:
        """What the graph takes. Token types say which text of a pair a token belongs to."""
        typed = self.task.layout in PAIRED and self.family.token_types
        by_head = self.task.name == "question-answering" and self.family.answers_by_types
        types = typed and (by_head or "token_type_ids" in self.tokenizer.model_input_names)
        own = ("input_ids", "lengths", *(("token_type_ids",) if types else ()), *self.task.graph_extra)
        return tuple(name for name in GRAPH_INPUTS if name in own or name in self.shared_inputs)

    @property
    def labels(self) -> list[str]:
        """The labels of the graph's columns; empty where the task has none."""
        return labels_of(self.config) if self.task.labelled else []

    def tokenizer_file(self) -> str:
        """The tokenizer as the text of a `tokenizer.json`, without truncation or padding."""
        fast = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        fast.no_truncation()
        fast.no_padding()
        return str(fast.to_str())


def load_checkpoint(config: ExportConfig) -> Checkpoint:
    """Load the checkpoint that `config` names.

    Raises:
        CheckpointError: there is no such checkpoint, or it lacks its config, its weights or a part of them.
        Unsupported: an architecture, a task, a pooling or a module that is not offered.
    """
    folder = _folder(config)
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} has no config.json; a checkpoint folder as transformers saves it is expected")
    model_config = _load_config(folder, config)
    family = family_of(model_config)
    task = task_of(_task(config.task, folder, model_config), pairs=config.pairs)
    modules = read_sentence_modules(folder)
    tokenizer = _load_tokenizer(folder, modules, config.trust_remote_code)
    task.settings(model_config, modules, tokenizer)  # refuses what cannot do the task
    if task.labelled:
        labels_of(model_config)
    model = _load_model(folder, family, task, config)
    if len(tokenizer) > model_config.vocab_size:
        raise CheckpointError(
            f"the tokenizer of {folder} knows {len(tokenizer)} tokens, the network only {model_config.vocab_size}: "
            "they do not belong together"
        )
    return Checkpoint(
        source=config.checkpoint if _HUB_ID.fullmatch(config.checkpoint) else folder.resolve().name,
        revision=folder.name if folder.parent.name == "snapshots" else None,
        code=config.trust_remote_code,
        licence=_licence(folder),
        task=task,
        config=model_config,
        family=family,
        model=model,
        tokenizer=tokenizer,
        modules=modules,
        max_length=_max_length(config.max_length, modules, tokenizer, model_config, family),
        trained_dimensions=trained_dimensions(folder, model_config),
    )


def _folder(config: ExportConfig) -> Path:
    local = Path(config.checkpoint)
    if local.is_dir():
        if config.revision:
            raise InvalidConfig(f"--revision {config.revision}: {local} is a local folder, which has no revisions")
        return local
    if not _HUB_ID.fullmatch(config.checkpoint):
        raise CheckpointError(f"{config.checkpoint} is neither a folder nor a hub id (organisation/name)")
    check_commit(config)
    patterns = [
        *_HUB_FILES,
        *(_PICKLES if config.allow_pickle else ()),
        *(["*.py"] if config.trust_remote_code is not None else ()),
    ]
    try:
        return Path(snapshot_download(config.checkpoint, revision=config.revision, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{config.checkpoint} is no folder here, and the hub does not give it: {reason}"
        ) from error


def _load_config(folder: Path, asked: ExportConfig) -> PreTrainedConfig:
    try:
        stated = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{folder / 'config.json'} is not valid JSON: {error}") from error
    check_trusted_code(folder, asked)
    code, model_type = asked.trust_remote_code, stated.get("model_type")
    if code is None:  # first, because transformers would offer to run the checkpoint's code
        if model_type not in CONFIG_MAPPING:
            refuse_needed_code(model_type, folder, asked)
        check_model_type(model_type)
    config: PreTrainedConfig = AutoConfig.from_pretrained(
        folder, trust_remote_code=code is not None, code_revision=code
    )
    check_rotary_embedding(config)
    return config


def _task(asked: str | None, folder: Path, config: PreTrainedConfig) -> str:
    if asked is not None:
        task, origin = asked if asked in TASKS else TasksManager.map_from_synonym(asked), f"--task {asked}"
    elif stated := stated_task(folder, config):
        task, origin = stated
    else:
        architectures = config.architectures or []
        network = getattr(transformers, architectures[0], None) if architectures else None
        if network is None:
            raise Unsupported(f"{folder / 'config.json'} does not say what the checkpoint was trained for; give --task")
        task, origin = TasksManager.infer_task_from_model(network), f"architecture {architectures[0]}"
    if task not in TASKS:
        raise Unsupported(
            f"task {task} (from {origin}) is not supported; supported is {', '.join(TASKS)}. "
            "--task feature-extraction serves the encoder without its head"
        )
    return str(task)


def _load_tokenizer(folder: Path, modules: SentenceModules, code: str | None) -> PreTrainedTokenizerBase:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, use_fast=True, trust_remote_code=code is not None, code_revision=code
        )
    except (ImportError, KeyError, OSError, ValueError) as error:
        raise CheckpointError(f"the tokenizer of {folder} cannot be loaded: {error}") from error
    if not tokenizer.is_fast:
        raise Unsupported(f"{type(tokenizer).__name__} has no fast form, which serving needs")
    if not (folder / "tokenizer.json").is_file():
        check_conversion(folder, tokenizer)
    fast = tokenizer.backend_tokenizer
    if modules.lowercase:
        steps = [normalizers.Lowercase(), *([fast.normalizer] if fast.normalizer else [])]
        fast.normalizer = normalizers.Sequence(steps)
    return tokenizer


def _load_model(folder: Path, family: Family, task: Task, asked: ExportConfig) -> PreTrainedModel:
    code, allow_pickle = asked.trust_remote_code, asked.allow_pickle
    headless = task.network is transformers.AutoModel
    if not any((folder / file).is_file() for file in _WEIGHTS):
        pickled = any((folder / file).is_file() for file in _PICKLES)
        if not pickled:
            raise CheckpointError(f"{folder} has no weights: none of {', '.join(_WEIGHTS)}")
        if not allow_pickle:
            raise CheckpointError(
                f"the weights of {folder} are a pickle, which can run code when it is read. Save them as safetensors, "
                "or give --allow-pickle if you trust whoever made them"
            )
    try:
        model, loading = (family if headless else task).network.from_pretrained(
            folder,
            dtype=torch.float32,
            attn_implementation="eager",
            use_safetensors=None if allow_pickle else True,
            trust_remote_code=code is not None,
            code_revision=code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to name them below, where transformers would fill them anew
        )
    except Exception as error:  # a damaged file surfaces as many types: safetensors', zip's, torch's
        raise CheckpointError(f"the weights of {folder} cannot be loaded: {error}") from error
    for key, found, wanted in sorted(loading["mismatched_keys"]):
        raise CheckpointError(
            f"{key} of {folder} has the shape {list(found)}, the config asks for {list(wanted)}: "
            f"it names {model.config.num_labels} labels and {model.config.vocab_size} tokens"
        )
    # transformers fills what a checkpoint lacks with random numbers; a pooler that nothing uses is the one harmless
    # case.
    missing = sorted(key for key in loading["missing_keys"] if not key.startswith("pooler." if headless else ()))
    foreign = sorted({*missing, *loading["unexpected_keys"]})
    if foreign and code is None and getattr(model.config, "auto_map", None):
        raise Unsupported(
            f"{folder} comes with Python code of its own, which is not run, and its weights do not fit "
            f"{type(model).__name__} of transformers: {len(foreign)} tensors differ, such as {foreign[0]}. To run it, "
            f"{hint(folder, asked)}"
        )
    if missing:
        raise CheckpointError(
            f"the weights of {folder} lack {len(missing)} tensors that {task.name} needs, such as {missing[0]}"
        )
    if hasattr(model.base_model, "decoder"):
        raise Unsupported(
            f"{type(model).__name__} of transformers reads each text with a decoder too, which is not served for "
            f"{task.name}; --task feature-extraction serves its encoder"
        )
    return model.eval().requires_grad_(False)  # type: ignore[no-any-return]


def _max_length(
    asked: int | None,
    modules: SentenceModules,
    tokenizer: PreTrainedTokenizerBase,
    config: PreTrainedConfig,
    family: Family,
) -> int:
    reach = family.longest(config)
    if asked is not None:
        if reach is not None and asked > reach:
            raise InvalidConfig(f"--max-length {asked}: the network takes {reach} tokens at most")
        return asked
    if modules.max_length is not None:
        stated: list[int | None] = [modules.max_length]
    else:
        own = int(tokenizer.model_max_length)
        stated = [own if own < _NO_MAX_LENGTH else None]
        stated += [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions")]
    known = [length for length in (*stated, reach) if length is not None]
    if not known:
        raise InvalidConfig("neither the network nor the tokenizer says how long a text may be; give --max-length")
    return min(known)


def _licence(folder: Path) -> str | None:
    card = folder / "README.md"
    if not card.is_file():
        return None
    stated = re.search(r"\A---\n(?:.*\n)*?license:\s*(\S+)", card.read_text(encoding="utf-8", errors="replace"))
    return stated.group(1) if stated else None
