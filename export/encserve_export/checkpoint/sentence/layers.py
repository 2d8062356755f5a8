"""The layers that sentence-transformers puts behind a network, each in a folder with its own `config.json`."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from encserve_export.checkpoint.unread.checking import check_keys
from encserve_export.checkpoint.unread.keys import NO_MASK_KEYS, POOLING_KEYS
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.json_file import read_needed_object, read_object

from .pooling import POOLINGS, WITHOUT_PROMPT

TOKENS, SENTENCE, SCORES = "token_embeddings", "sentence_embedding", "scores"
"""What a layer reads and writes: the vectors of the tokens, or the one vector of a text; and what the last layer of a
cross-encoder makes of that."""

SPLADE_ACTIVATIONS = ("relu", "log1p_relu")

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    f"{activation.__module__}.{activation.__name__}": activation
    for activation in (
        nn.ELU,
        nn.GELU,
        nn.Hardsigmoid,
        nn.Hardswish,
        nn.Hardtanh,
        nn.Identity,
        nn.LeakyReLU,
        nn.Mish,
        nn.ReLU,
        nn.ReLU6,
        nn.SELU,
        nn.SiLU,
        nn.Sigmoid,
        nn.Softplus,
        nn.Softsign,
        nn.Tanh,
    )
}
"""Functions of one number, as a file names them; their parameters are torch's defaults, since no file states others.
LogSigmoid is left out, of which ONNX Runtime gives 3e-4 too much."""

_DENSE_READ = (
    "in_features",
    "out_features",
    "bias",
    "activation_function",
    "module_input_name",
    "module_output_name",
    "use_residual",
)

_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
"""The older form of a pooling configuration, a flag for each mode."""


def read_pooling(folder: Path) -> tuple[str, bool]:
    """The mode of a Pooling, in its present form (`pooling_mode`) or the older one (a flag a mode), and whether it is
    of the tokens of a prompt, too.

    Raises:
        Unsupported: several modes at once, an unknown one, or one that cannot leave out a prompt and is to.
        CheckpointError: there is no configuration.
    """
    config = read_needed_object(folder / "config.json")
    if "pooling_mode" in config:
        stated = config["pooling_mode"]
        modes = [stated] if isinstance(stated, str) else list(stated)
    else:
        flags = [key for key, on in config.items() if key.startswith("pooling_mode_") and on]
        modes = [_POOLING_FLAGS.get(flag, flag) for flag in flags] or ["mean"]
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise Unsupported(f"pooling {', '.join(modes)} is not supported; supported are {', '.join(POOLINGS)}")
    check_keys(folder / "config.json", config, ("include_prompt", "pooling_mode", *_POOLING_FLAGS), POOLING_KEYS)
    with_prompt = bool(config.get("include_prompt", True))
    if not with_prompt and modes[0] not in WITHOUT_PROMPT:
        raise Unsupported(
            f"the pooling {modes[0]} of {folder} leaves out the prompt (include_prompt=false), which is supported for "
            f"{' and '.join(WITHOUT_PROMPT)}"
        )
    return str(modes[0]), with_prompt


def splade_activation(folder: Path) -> str:
    """How a sparse pooling makes weights of logits before it takes the largest over the tokens: "relu", log(1 + max(0,
    logit)), or "log1p_relu", log(1 + log(1 + max(0, logit))). Raises Unsupported for any other."""
    config = read_needed_object(folder / "config.json")
    strategy, activation = config.get("pooling_strategy", "max"), config.get("activation_function", "relu")
    if strategy != "max" or activation not in SPLADE_ACTIVATIONS:
        raise Unsupported(
            f"SpladePooling with {strategy} and {activation} is not supported; supported is max with "
            f"{' or '.join(SPLADE_ACTIVATIONS)}"
        )
    check_keys(folder / "config.json", config, ("pooling_strategy", "activation_function"), POOLING_KEYS)
    return str(activation)


def check_mask(folder: Path) -> None:
    """Raise Unsupported unless a MultiVectorMask keeps all tokens of a text."""
    check_keys(folder / "config.json", read_object(folder / "config.json"), ("skiplist_tasks",), NO_MASK_KEYS)


def changes_tokens(folder: Path, usual: str = SENTENCE) -> bool:
    """Whether a Dense or a Normalize changes the vectors of tokens; that of the text otherwise. `usual` is what one
    changes that does not say it.

    Raises:
        Unsupported: it reads something else, or writes something else but for the scores of a cross-encoder.
    """
    config = read_object(folder / "config.json")
    taken = config.get("module_input_name") or usual
    made = config.get("module_output_name") or taken
    if (taken, made) == (SENTENCE, SCORES):
        return False
    if taken not in (TOKENS, SENTENCE) or made != taken:
        raise Unsupported(
            f"{folder / 'config.json'} makes {made!r} of {taken!r}, which is not supported; supported are layers that "
            f"change {TOKENS} or {SENTENCE} in place"
        )
    return bool(taken == TOKENS)


class WithResidual(nn.Sequential):
    """A linear layer with its activation, to whose output the input is added: by itself, or projected."""

    def __init__(self, linear: nn.Linear, activation: nn.Module, projection: nn.Module) -> None:
        super().__init__(linear, activation)
        self.projection = projection

    def forward(self, states: Tensor) -> Tensor:
        """States (..., in) to (..., out)."""
        made: Tensor = self[1](self[0](states)) + self.projection(states)
        return made


def read_dense(folder: Path, *, allow_pickle: bool) -> nn.Sequential:
    """The linear layer in `folder` with its activation, float32 (..., in) to (..., out), and where it states one with
    its residual.

    Raises:
        Unsupported: an activation or a key that is not offered.
        CheckpointError: no weights, weights that do not fit, or a pickle where none is allowed.
    """
    file = folder / "config.json"
    config = read_needed_object(file)
    check_keys(file, config, _DENSE_READ, ())
    stated = config.get("activation_function", "torch.nn.modules.activation.Tanh")
    if stated not in _ACTIVATIONS:
        raise Unsupported(
            f"activation {stated!r} of {folder} is not supported; supported are {', '.join(_ACTIVATIONS)}"
        )
    taken, made = config["in_features"], config["out_features"]
    linear, projection = nn.Linear(taken, made, bias=config.get("bias", True)), nn.Linear(taken, made, bias=False)
    residual = bool(config.get("use_residual"))
    parts = nn.ModuleDict({"linear": linear, **({"residual": projection} if residual and taken != made else {})})
    weights = read_weights(folder, allow_pickle=allow_pickle)
    try:
        parts.load_state_dict({name if "." in name else f"linear.{name}": each for name, each in weights.items()})
    except RuntimeError as error:
        raise CheckpointError(f"the weights of {folder} do not fit its config.json: {error}") from error
    layer = nn.Sequential(linear, _ACTIVATIONS[stated]())
    if residual:
        layer = WithResidual(linear, layer[1], projection if taken != made else nn.Identity())
    return layer.requires_grad_(False).to(torch.float32)


def makes_scores(folder: Path) -> bool:
    """Whether a Dense makes the scores of a cross-encoder of the vector of a pair."""
    return bool(read_object(folder / "config.json").get("module_output_name") == SCORES)


def read_norm(folder: Path, *, allow_pickle: bool) -> nn.LayerNorm:
    """The LayerNorm in `folder`, float32 (..., d) to (..., d).

    Raises:
        Unsupported: a key that is not offered.
        CheckpointError: no configuration, no weights, weights that do not fit, or a pickle where none is allowed.
    """
    file = folder / "config.json"
    config = read_needed_object(file)
    check_keys(file, config, ("dimension",), ())
    norm = nn.LayerNorm(config["dimension"])
    weights = read_weights(folder, allow_pickle=allow_pickle)
    try:
        norm.load_state_dict({name.removeprefix("norm."): tensor for name, tensor in weights.items()})
    except RuntimeError as error:
        raise CheckpointError(f"the weights of {folder} do not fit its config.json: {error}") from error
    return norm.requires_grad_(False)


def width_behind(layers: Sequence[nn.Module], width: int) -> int:
    """The numbers of a vector behind `layers`, which get one of `width`."""
    widths = [int(layer[0].out_features) for layer in layers if isinstance(layer, nn.Sequential)]  # type: ignore[arg-type]
    return widths[-1] if widths else width


def check_dropout(folder: Path) -> None:
    """Raise Unsupported for a Dropout that is more than one: in inference it does nothing."""
    check_keys(folder / "config.json", read_object(folder / "config.json"), ("dropout",), ())


def read_weights(folder: Path, *, allow_pickle: bool) -> dict[str, Tensor]:
    """The tensors of the layer in `folder` by name, float32. Raises as `read_raw_weights`."""
    return {name: tensor.float() for name, tensor in read_raw_weights(folder, allow_pickle=allow_pickle).items()}


def read_raw_weights(folder: Path, *, allow_pickle: bool) -> dict[str, Tensor]:
    """The tensors in `folder` by name, as they are. Raises CheckpointError: there are none, or a pickle where none is
    allowed."""
    weights, pickled = folder / "model.safetensors", folder / "pytorch_model.bin"
    if weights.is_file():
        tensors = load_file(weights)
    elif not pickled.is_file():
        raise CheckpointError(f"{folder} has no model.safetensors")
    elif not allow_pickle:
        raise CheckpointError(
            f"the weights of {folder} are a pickle, which can run code when it is read. Save them as safetensors, or "
            "give --allow-pickle if you trust whoever made them"
        )
    else:
        try:
            tensors = torch.load(pickled, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError) as error:
            raise CheckpointError(f"{pickled} cannot be read as tensors alone: {error}") from error
    return dict(tensors)
