"""Checkpoints that find entities of labels that a request brings: those of GLiNER, and of GLiNER2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from encserve_export.attention.families import Family
from encserve_export.config import ExportConfig
from encserve_export.errors import InvalidConfig, Unsupported

from .gliner import prompt as gliner_prompt
from .gliner.base import Base, base_of
from .gliner.encoder_folder import fill_head
from .gliner.head import EntityHead
from .gliner.laying_out import encoder_laid_out
from .gliner.layout import ENTITIES, GLINER, SERVED, GlinerSettings, is_gliner, read_gliner
from .gliner.unserved import GLIREL
from .gliner2 import prompt as gliner2_prompt
from .gliner2.head import Gliner2Head
from .gliner2.laying_out import encoder_laid_out as encoder_of_gliner2
from .gliner2.layout import CONFIG, KIND, Gliner2Settings, is_gliner2, read_gliner2
from .tasks.task import Task

LabelledHead: TypeAlias = EntityHead | Gliner2Head
_PROMPTS = {GlinerSettings: gliner_prompt, Gliner2Settings: gliner2_prompt}


@dataclass(frozen=True, kw_only=True)
class LabelledEntities:
    """Such a checkpoint, its encoder in a folder of its own, as transformers reads one."""

    settings: GlinerSettings | Gliner2Settings
    encoder: Path
    tensors: Mapping[str, Tensor]
    """What stands on the encoder, by the library's names; empty where weights are not looked at."""
    base: Base | None
    """The encoder that it names, where its own files do not have all that is read of one."""

    def task(self, task: Task) -> Task:
        """The task with the steps of its library."""
        of_gliner2 = isinstance(self.settings, Gliner2Settings)
        return replace(task, layout="gliner2_texts", head="entities.gliner2_entities") if of_gliner2 else task

    def head(self, encoder_width: int, *, weights: bool) -> LabelledHead:
        """What stands on the encoder. Raises CheckpointError or Unsupported: its tensors do not fit."""
        if not weights:
            with torch.device("meta"):
                return self._bare_head(encoder_width)
        head = self._bare_head(encoder_width)
        fill_head(head, head.parts, self.tensors, asking=head.SETTINGS, left_out=head.LEFT_OUT)
        head.filled()
        return head.eval().requires_grad_(False)

    def _bare_head(self, encoder_width: int) -> LabelledHead:
        if isinstance(self.settings, Gliner2Settings):
            return Gliner2Head(self.settings, encoder_width)
        return EntityHead(self.settings, encoder_width)

    def max_length(
        self, asked: int | None, tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, family: Family
    ) -> int:
        """Tokens of a row. Raises InvalidConfig: more is asked than the network takes."""
        return gliner_prompt.length_of(asked, self.settings.max_words, tokenizer, config, family)


def read_labelled_entities(folder: Path, config: ExportConfig, *, weights: bool) -> LabelledEntities | None:
    """What the checkpoint in `folder` is; None where it is of no such library.

    Raises:
        CheckpointError: there is something missing, or it does not belong together.
        InvalidConfig: a base is named where there is none.
        Unsupported: a network that is not served, or another task.
    """
    if (folder / GLIREL).is_file():
        raise Unsupported(f"{folder} has {GLIREL}: GLiREL, which finds relations. It is not served. {SERVED}")
    of_gliner, of_gliner2 = is_gliner(folder), is_gliner2(folder)
    if (of_gliner or of_gliner2) and config.task not in (None, ENTITIES):
        named = f"has {GLINER}" if of_gliner else f"states model_type {KIND!r}, that of GLiNER2, in {CONFIG}"
        raise Unsupported(f"--task {config.task}: {folder} {named}, and is served for {ENTITIES} alone")
    if config.task == ENTITIES and not (of_gliner or of_gliner2):
        raise Unsupported(f"{folder} has no {GLINER}, and no {CONFIG} of GLiNER2, of which {ENTITIES} needs one")
    if not of_gliner and config.base_revision is not None:
        raise InvalidConfig(f"--base-revision {config.base_revision}: {folder} is no checkpoint of GLiNER")
    if of_gliner:
        settings = read_gliner(folder)
        base = base_of(folder, settings, config.base_revision)
        encoder, tensors = encoder_laid_out(folder, settings, base, allow_pickle=config.allow_pickle, weights=weights)
        return LabelledEntities(settings=settings, encoder=encoder, tensors=tensors, base=base)
    if of_gliner2:
        of_head = read_gliner2(folder)
        encoder, tensors = encoder_of_gliner2(folder, allow_pickle=config.allow_pickle, weights=weights)
        return LabelledEntities(settings=of_head, encoder=encoder, tensors=tensors, base=None)
    return None


def settings_of(settings: GlinerSettings | Gliner2Settings, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What the tokenize and the head step know of a checkpoint. Raises CheckpointError: the tokenizer does not fit."""
    if isinstance(settings, Gliner2Settings):
        return gliner2_prompt.settings_of(settings, tokenizer)
    return gliner_prompt.settings_of(settings, tokenizer)


def row_of(
    head: LabelledHead,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[str],
    text: str,
    max_length: int,
    descriptions: Sequence[str] = (),
) -> list[int]:
    """The tokens of a text with its labels before it, of GLiNER2 with what they mean: as many of its words as there is
    room for."""
    stated = settings_of(head.settings, tokenizer)
    if isinstance(head.settings, Gliner2Settings):
        return gliner2_prompt.row_of(tokenizer, stated, labels, text, max_length, descriptions)
    return gliner_prompt.row_of(tokenizer, stated, labels, text, max_length)


def roles_of(head: LabelledHead, tokenizer: PreTrainedTokenizerBase, input_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """What the tokens (t,) of a row may be to the head."""
    stated = settings_of(head.settings, tokenizer)
    roles: NDArray[np.int64] = _PROMPTS[type(head.settings)].roles_of(input_ids, stated)
    return roles
