"""Adapters on one network: for some of its linear layers and tables of tokens a product of two narrow matrices, which
is added to what the layer gives, and perhaps a trained head in place of the checkpoint's (Hu et al. 2021, LoRA)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from encserve_export.errors import CheckpointError, Unsupported
from encserve_repository.manifest import sha256_of

from .adapter_config import LoraConfig, read_lora_config

NONE = "none"
"""What requests call the network without an adapter: no adapter may have this name."""
FAMILIES = (
    *("bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "eurobert", "gte", "jina_embeddings_v3"),
    *("modernbert", "mpnet", "nomic_bert", "qwen3", "roberta", "roberta-prelayernorm", "ultrabert"),
    *("xlm-roberta", "xlm-roberta-xl"),
)
"""Families whose linear layers get the row of tokens as it is, one place a token."""
MOST_RANKS = 128
"""Ranks of all adapters together: every token is multiplied with all of them, so that beyond this a pipeline for each
adapter computes less."""
_WEIGHTS_FILE, _PICKLE = "adapter_model.safetensors", "adapter_model.bin"
_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"
_TABLE_A, _TABLE_B = ".lora_embedding_A", ".lora_embedding_B"
_TYPES = "token_type_embeddings"
"""What families call the table of the types of tokens, which all of them look up once a token."""


@dataclass(frozen=True)
class LowRank:
    """What an adapter adds to the weights of a linear layer, `b @ a`, or to a table of tokens, `(b @ a).T`; in FP32."""

    a: Tensor
    """(r, in); of a table (r, rows)."""
    b: Tensor
    """(out, r), scaled."""

    @property
    def rank(self) -> int:
        """Rows of `a`."""
        return int(self.a.shape[0])


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """One adapter, its parts by the names of the network's modules."""

    name: str
    folder: Path
    config: LoraConfig
    sha256: str
    """Digest of the file of its weights."""
    linear: Mapping[str, LowRank] = field(default_factory=dict)
    tables: Mapping[str, LowRank] = field(default_factory=dict)
    """Of embeddings of tokens, and of their types."""
    heads: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """Module of the head -> its parameters, in place of the checkpoint's."""
    prompt_name: str | None = None
    """The prompt of the checkpoint that texts with this adapter get where a request says nothing of prompts; None for
    none."""

    @property
    def layers(self) -> dict[str, LowRank]:
        """All that it adds to, by name."""
        return {**self.linear, **self.tables}

    @property
    def record(self) -> dict[str, object]:
        """What the manifest says of it."""
        return {
            "source": self.folder.resolve().name,
            "sha256": self.sha256,
            "rank": max(each.rank for each in self.layers.values()),
            "layers": len(self.layers),
            "head": sorted(self.heads),
            "trained_on": self.config.base,
            **({"prompt_name": self.prompt_name} if self.prompt_name else {}),
        }


def read_adapters(folders: Mapping[str, str], model: PreTrainedModel, *, saves_heads: bool) -> tuple[Adapter, ...]:
    """Read the adapters of `model`, by their names; `saves_heads` says whether they may bring a head of their own.

    Raises:
        CheckpointError: a folder, a file or a tensor is missing or does not fit the network.
        Unsupported: the network's family, or what an adapter asks for, is not served; the message names it.
    """
    if not folders:
        return ()
    if model.config.model_type not in FAMILIES:
        raise Unsupported(
            f"--adapter: adapters are not served for model type {model.config.model_type!r}, only for "
            f"{', '.join(FAMILIES)}"
        )
    adapters = tuple(
        _read(name, Path(folder), model, saves_heads=saves_heads) for name, folder in sorted(folders.items())
    )
    saved = {module for adapter in adapters for module in adapter.heads}
    for adapter in adapters:
        if both := sorted(module for module in adapter.linear if module.partition(".")[0] in saved):
            raise Unsupported(
                f"--adapter {adapter.name}: it adapts {both[0]}, which is part of a head that an adapter brings whole"
            )
    by_layer: dict[str, int] = {}
    for adapter in adapters:
        for module, added in adapter.layers.items():
            by_layer[module] = by_layer.get(module, 0) + added.rank
    module = max(by_layer, key=lambda each: by_layer[each])
    if by_layer[module] > MOST_RANKS:
        raise Unsupported(
            f"--adapter: the adapters of {module} have ranks of {by_layer[module]} together; {MOST_RANKS} are the most "
            "that one pipeline serves. Export some of them with a pipeline of their own"
        )
    return adapters


def in_head(model: PreTrainedModel, module: str) -> bool:
    """Whether a module of `model` stands behind its encoder; a pooler does."""
    encoder = model.base_model
    prefix = "" if encoder is model else f"{model.base_model_prefix}."
    return not module.startswith(prefix) or module.startswith(f"{prefix}pooler.")


def _read(name: str, folder: Path, model: PreTrainedModel, *, saves_heads: bool) -> Adapter:
    if not folder.is_dir():
        raise CheckpointError(f"--adapter {name}: {folder} is no folder")
    config, file = read_lora_config(name, folder), folder / _WEIGHTS_FILE
    if not file.is_file():
        pickled = f"; {_PICKLE} is a pickle, which is not read" if (folder / _PICKLE).is_file() else ""
        raise CheckpointError(f"--adapter {name}: {folder} has no {_WEIGHTS_FILE}{pickled}")
    try:
        tensors = {key.removeprefix(_PREFIX): tensor.float() for key, tensor in load_file(file).items()}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"--adapter {name}: {file} cannot be read: {error}") from error
    pairs = sorted(key.removesuffix(_A) for key in tensors if key.endswith(_A))
    linear = {_module(name, model, key): _low_rank(name, config, tensors, key, model) for key in pairs}
    of_tables = sorted(key.removesuffix(_TABLE_A) for key in tensors if key.endswith(_TABLE_A))
    tables = {_module(name, model, key): _of_table(name, config, tensors, key, model) for key in of_tables}
    if not linear and not tables:
        raise CheckpointError(f"--adapter {name}: {file} has no tensors that end with {_A}")
    read = {key + ending for key in pairs for ending in (_A, _B)}
    read |= {key + ending for key in of_tables for ending in (_TABLE_A, _TABLE_B)}
    others = {key: tensor for key, tensor in tensors.items() if key not in read}
    heads = _heads(name, model, others, saves_heads=saves_heads)
    return Adapter(
        name=name, folder=folder, config=config, sha256=sha256_of(file), linear=linear, tables=tables, heads=heads
    )


def _module(name: str, model: PreTrainedModel, path: str) -> str:
    """The name in `model` of a module that an adapter names, which may have been trained on the encoder alone, or on
    the encoder with another head."""
    known = dict(model.named_modules())
    prefix = f"{model.base_model_prefix}."
    for candidate in (path, path.removeprefix(prefix), prefix + path):
        if candidate in known:
            return candidate
    raise CheckpointError(f"--adapter {name}: the network has no module {path}, which the adapter changes")


def _low_rank(
    name: str, config: LoraConfig, tensors: Mapping[str, Tensor], path: str, model: PreTrainedModel
) -> LowRank:
    module = _module(name, model, path)
    layer = model.get_submodule(module)
    if type(layer) is not nn.Linear:
        raise Unsupported(f"--adapter {name}: {module} is a {type(layer).__name__}; only linear layers are adapted")
    return _scaled(name, config, tensors, (path, _A, _B), (layer.in_features, layer.out_features))


def _of_table(
    name: str, config: LoraConfig, tensors: Mapping[str, Tensor], path: str, model: PreTrainedModel
) -> LowRank:
    """What an adapter adds to a table that is looked up once for each token, and used for nothing else."""
    module = _module(name, model, path)
    layer = model.get_submodule(module)
    of_tokens = layer is model.get_input_embeddings() or module.rpartition(".")[2] == _TYPES
    if type(layer) is not nn.Embedding or not of_tokens:
        raise Unsupported(
            f"--adapter {name}: {path}{_TABLE_A} is not served: of tables only those of the tokens and of their types "
            f"are adapted, and {module} is another {type(layer).__name__}"
        )
    if model.get_output_embeddings() is not None:  # type: ignore[no-untyped-call]
        raise Unsupported(
            f"--adapter {name}: {path}{_TABLE_A} is not served for {type(model).__name__}, whose last layer has the "
            "same matrix"
        )
    return _scaled(name, config, tensors, (path, _TABLE_A, _TABLE_B), (layer.num_embeddings, layer.embedding_dim))


def _scaled(
    name: str, config: LoraConfig, tensors: Mapping[str, Tensor], keys: tuple[str, str, str], sizes: tuple[int, int]
) -> LowRank:
    """The matrices that `keys` name, (r, in) and (out, r) with `sizes` in and out, of which the second is scaled."""
    path, first, second = keys
    a, b = tensors[path + first], tensors.get(path + second)
    if b is None:
        raise CheckpointError(f"--adapter {name}: {path} has {first.strip('.')} and no {second.strip('.')}")
    rank = config.rank if not config.ranks_differ else a.shape[0]
    expected = ((rank, sizes[0]), (sizes[1], rank))
    if (tuple(a.shape), tuple(b.shape)) != expected:
        raise CheckpointError(
            f"--adapter {name}: the matrices of {path} have the shapes {list(a.shape)} and {list(b.shape)}; "
            f"{list(expected[0])} and {list(expected[1])} are expected"
        )
    return LowRank(a, b * config.scale(rank))


def _heads(
    name: str, model: PreTrainedModel, tensors: Mapping[str, Tensor], *, saves_heads: bool
) -> dict[str, dict[str, Tensor]]:
    """The modules of the head that an adapter brings, whole: `modules_to_save` of PEFT."""
    heads: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        top, _, parameter = key.partition(".")
        known = dict(model.named_children())
        if not saves_heads or top not in known or not in_head(model, f"{top}."):
            brought = f"the modules of the head, {_names_of_heads(model)}" if saves_heads else "nothing for this task"
            raise Unsupported(
                f"--adapter {name}: it has {key}, which is not served: beside the matrices of LoRA an adapter may "
                f"bring {brought}"
            )
        heads.setdefault(top, {})[parameter] = tensor
    for top, own in heads.items():
        _check_head(name, top, own, model.get_submodule(top).state_dict())
    return heads


def _names_of_heads(model: PreTrainedModel) -> str:
    heads = [each for each, module in model.named_children() if in_head(model, f"{each}.") and module.state_dict()]
    return ", ".join(heads) or "of which it has none"


def _check_head(name: str, top: str, own: Mapping[str, Tensor], known: Collection[str] | Mapping[str, Tensor]) -> None:
    assert isinstance(known, Mapping)
    if differing := sorted({*own} ^ {*known}):
        raise CheckpointError(f"--adapter {name}: {top} of the adapter and of the checkpoint differ by {differing[0]}")
    for parameter, tensor in sorted(own.items()):
        if tensor.shape != known[parameter].shape:
            raise CheckpointError(
                f"--adapter {name}: {top}.{parameter} has the shape {list(tensor.shape)}, and the checkpoint's "
                f"{list(known[parameter].shape)}: every adapter of a pipeline has the labels of the checkpoint"
            )
