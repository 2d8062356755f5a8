"""What the checkpoints of both libraries share: an encoder among other tensors, which transformers reads from a folder
of its own, and a head beside it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from encserve_export.errors import CheckpointError, Unsupported

from .scores import Part

TABLES_OF_WORDS = ("word_embeddings.weight", "tok_embeddings.weight")
"""How the names of the tensor end that has a row for each token, which says how many there are."""
_CARD = "README.md"


def parted(tensors: Mapping[str, Tensor], prefix: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors whose names begin with `prefix`, by the rest of these, and the others."""
    body = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return body, {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}


def encoder_folder(
    folder: Path, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, body: Mapping[str, Tensor]
) -> Path:
    """A folder with the encoder of the checkpoint in `folder` and its card, which is taken away when this process ends;
    without weights where `body` is empty."""
    target = Path(tempfile.mkdtemp(prefix=f"encserve-{folder.resolve().name}-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    config.save_pretrained(target)
    tokenizer.save_pretrained(target)
    if body:
        save_file({name: tensor.clone().contiguous() for name, tensor in body.items()}, target / "model.safetensors")
    if (folder / _CARD).is_file():
        (target / _CARD).symlink_to((folder / _CARD).resolve())
    return target


def fill_head(
    head: nn.Module,
    parts: Mapping[str, Part],
    tensors: Mapping[str, Tensor],
    *,
    asking: str,
    left_out: str | None = None,
) -> None:
    """Give a head its tensors, of which `parts` says where they lie among those of the library; those whose names begin
    with `left_out` are passed over. `asking` is what says which there are, as errors name it.

    Raises:
        CheckpointError: one is missing, or has another shape.
        Unsupported: there is one that nothing reads.
    """
    wanted, named = head.state_dict(), {part.name for part in parts.values()}
    if missing := sorted(named - {*tensors}):
        raise CheckpointError(f"the weights lack {len(missing)} tensors that {asking} asks for, such as {missing[0]}")
    others = {*tensors} - named
    if unread := sorted(name for name in others if left_out is None or not name.startswith(left_out)):
        raise Unsupported(f"the weights have {len(unread)} tensors that nothing reads, such as {unread[0]}")
    for own, part in parts.items():
        found, expected = [*tensors[part.name].shape], part.whole(wanted[own].shape)
        if found != expected:
            raise CheckpointError(f"{part.name} has the shape {found}, {asking} asks for {expected}")
    head.load_state_dict({own: part.of(tensors[part.name].float()) for own, part in parts.items()})
