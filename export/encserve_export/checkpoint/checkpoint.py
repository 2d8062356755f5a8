"""A Hugging Face checkpoint in memory: network, tokenizer, and what its files say of how to use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from encserve_export.adapters.lora import Adapter
from encserve_export.attention.families import Family

from .gliner.base import Base
from .hybrid_layers import HybridLayers
from .labelled_entities import LabelledHead, roles_of, row_of
from .labelled_entities import settings_of as entity_settings_of
from .late.interaction import LateInteraction, settings_of
from .rerankers.pair_template import PairTemplate
from .sentence.layers import width_behind
from .sentence.modules import SentenceModules
from .tasks.task import GRAPH_INPUTS, PAIRED, Task, labels_of


@dataclass(frozen=True)
class Checkpoint:
    """An encoder checkpoint in memory, in FP32."""

    source: str
    """The hub id that was asked for, or the name of a local folder."""
    folder: Path
    """Where it lies as the libraries read it: untouched, but for one whose weights hold adapters too, and for one whose
    configuration was translated for a network of another name."""
    original: Path
    """Where it lies, untouched."""
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
    template: PairTemplate | None = None
    """What stands around a pair, where it is asked in words."""
    side_lengths: tuple[int, int] = (0, 0)
    """Of late interaction, tokens of the longest query and of the longest document."""
    hybrid: HybridLayers | None = None
    """What gives each token a weight and a vector beside the vector of its text; None of other tasks."""
    entities: LabelledHead | None = None
    """What gives spans of words scores for the labels of a request; None of other tasks."""
    base: Base | None = None
    """The encoder that it names, where its own files do not have all that is read of one; None of other checkpoints."""
    shared_inputs: tuple[str, ...] = ()
    """What the graph takes for the sake of other heads on the same encoder."""
    adapters: tuple[Adapter, ...] = ()
    """Those that its texts may have; adapter number 1 is the first of them."""

    @property
    def encoder(self) -> PreTrainedModel:
        """The network without its head."""
        return self.model.base_model  # type: ignore[return-value]

    @property
    def late(self) -> LateInteraction | None:
        """How queries and documents are read, where they meet token by token."""
        return self.modules.late

    @property
    def late_settings(self) -> dict[str, Any]:
        """Of that the settings of the steps; empty of other checkpoints."""
        return settings_of(self.late, self.tokenizer, *self.side_lengths) if self.late else {}

    @property
    def entity_settings(self) -> dict[str, Any]:
        """What the steps know of entities whose labels a request brings; empty of other tasks."""
        return entity_settings_of(self.entities.settings, self.tokenizer) if self.entities else {}

    def labelled_row(self, text: str, labels: Sequence[str], descriptions: Sequence[str] = ()) -> list[int]:
        """The tokens of a text with labels before it, and of GLiNER2 with what they mean."""
        assert self.entities is not None
        return row_of(self.entities, self.tokenizer, labels, text, self.max_length, descriptions)

    def guessed_roles(self, input_ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """What the tokens (t,) of a row may be to the head of entities; 0 of other tasks."""
        ids = np.asarray(input_ids, np.int64)
        return roles_of(self.entities, self.tokenizer, ids) if self.entities else np.zeros_like(ids)

    @property
    def added_tokens(self) -> int:
        """The most tokens that a text gets beside its own and those that the tokenizer puts around it: a marker, a
        prompt, and those that fill it up."""
        stated = self.late_settings
        return max(
            (
                len(side["marker"]) + len(self.tokenizer.tokenize(side["prompt"])) + side["filled_to"]
                for side in (stated[name] for name in ("query", "document") if stated)
            ),
            default=0,
        )

    @property
    def dimensions(self) -> int:
        """Columns of the graph's output: components of a sentence embedding, labels, tokens of the vocabulary."""
        if self.task.name == "question-answering":
            return 2
        if self.entities:
            return self.entities.columns
        if self.task.network is transformers.AutoModelForMaskedLM:
            return int(self.config.vocab_size)
        if self.task.logits and not self.modules.scores:
            return len(labels_of(self.config))
        layers = (*self.modules.token_dense, *(() if self.task.follows == "input_ids" else self.modules.dense))
        return width_behind(layers, self.family.width(self.config))

    @property
    def columns(self) -> dict[str, int]:
        """Columns of each output of the graph, by the name that the task has for it."""
        first = {self.task.output: self.dimensions}
        if self.hybrid is None:
            return first
        return first | {"token_weight": 1, "token_vector": self.hybrid.tokens.out_features}

    @property
    def leaves_out_prompts(self) -> bool:
        """Whether the vector of a text is not of the tokens of its prompt."""
        return self.task.name == "feature-extraction" and not self.modules.pools_prompt

    @property
    def graph_inputs(self) -> tuple[str, ...]:
        """What the graph takes. Token types say which text of a pair a token belongs to."""
        typed = self.task.layout in PAIRED and self.family.token_types
        by_head = self.task.name == "question-answering" and self.family.answers_by_types
        types = typed and (by_head or "token_type_ids" in self.tokenizer.model_input_names)
        masks: tuple[str, ...] = ("attention_mask",) if self.late and self.late.masks_attention else ()
        if self.leaves_out_prompts:
            masks += ("pooling_mask",)
        adapters = ("adapter_ids",) if self.adapters else ()
        own = (
            "input_ids",
            "lengths",
            *(("token_type_ids",) if types else ()),
            *masks,
            *adapters,
            *self.task.graph_extra,
        )
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
