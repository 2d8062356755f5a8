"""Loading a Hugging Face checkpoint: network, tokenizer, and what its files say of how to use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from encserve_export.adapters.brought import brought_adapters, prompt_of
from encserve_export.adapters.lora import Adapter, read_adapters
from encserve_export.adapters.parametrized import has_tasks, laid_out
from encserve_export.attention.families import GENERATORS, Family, family_of
from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, InvalidConfig, Unsupported

from .configuration import load_config
from .foreign.laying_out import is_foreign, laid_out_natively
from .gliner.base import Base
from .gliner.layout import ENTITIES
from .hybrid_layers import HYBRID, HybridLayers, pooled_as_m3, read_hybrid_layers
from .labelled_entities import LabelledHead, read_labelled_entities, roles_of, row_of
from .labelled_entities import settings_of as entity_settings_of
from .late.interaction import LateInteraction, settings_of
from .late.stanford import PROJECTION, check_beside, is_stanford
from .reranker import check_room, refuse_chat, reranker_of
from .rerankers.logit_score import scoring, with_one_score
from .rerankers.pair_template import PairTemplate
from .sentence.layers import width_behind
from .sentence.listed import network_folder
from .sentence.modules import SentenceModules, check_modules, read_sentence_modules
from .sentence.query_table import UNROUTED, check_table
from .sentence.trained_dimensions import trained_dimensions
from .source import checkpoint_folder, licence_of, source_of
from .static.reading import check_static, load_static_tokenizer, static_network_of
from .tasks.stated import task_name
from .tasks.table import ADAPTED, GENERATION, PROMPTED_BY_ADAPTER, WITH_HEADS, task_of
from .tasks.task import GRAPH_INPUTS, PAIRED, Task, labels_of
from .tokenizer import drop_strangers, load_tokenizer, max_length_of
from .weights import load_network, network_without_weights


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


def load_checkpoint(config: ExportConfig, *, weights: bool = True) -> Checkpoint:
    """Load the checkpoint that `config` names; without `weights` its network has none, and they are not looked at.

    Raises:
        CheckpointError: there is no such checkpoint, or it lacks its config, its weights or a part of them.
        Unsupported: an architecture, a task, a pooling or a module that is not offered.
    """
    original = checkpoint_folder(config, weights=weights)
    labelled = read_labelled_entities(original, config, weights=weights)
    in_one = config.trust_remote_code is None and not labelled and has_tasks(original)
    whole = laid_out(original, weights=weights) if in_one else labelled.encoder if labelled else original
    if is_foreign(whole, config):
        whole = laid_out_natively(whole)
    folder = network_folder(whole)
    static = static_network_of(whole, folder, config, weights=weights)
    if static is None and not (folder / "config.json").is_file():
        read_sentence_modules(whole)  # which may know why, and says it
        raise CheckpointError(f"{folder} has no config.json; a checkpoint folder as transformers saves it is expected")
    model_config = static.config if static else load_config(folder, config)
    family = family_of(model_config)
    named = ENTITIES if labelled else task_name(config.task, whole, model_config)
    task = task_of(named, pairs=config.pairs)
    task = labelled.task(task) if labelled else task
    if task.generates and type(model_config) not in transformers.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING:
        raise Unsupported(f"model type {model_config.model_type!r} has no decoder, which {task.name} needs")
    if not task.generates and model_config.model_type in GENERATORS:
        raise Unsupported(
            f"model type {model_config.model_type!r} is served for {GENERATION.name} alone, not {task.name}"
        )
    modules = read_sentence_modules(whole, allow_pickle=config.allow_pickle)
    check_modules(modules, task.name, prompts=task.prompts)
    hybrid = None
    if task.name == HYBRID:
        modules = pooled_as_m3(whole, modules)
        hybrid = read_hybrid_layers(whole, family.width(model_config), allow_pickle=config.allow_pickle)
    if modules.table:
        task = task_of(task.name, pairs=task.pairs, by_table=True)
    elif task.name == "token-embedding" and modules.pools_by_mean:
        task = task_of(task.name, pairs=task.pairs, in_spans=True)
    elif task.name == "sparse-embedding" and (whole / UNROUTED).is_file():
        raise Unsupported(
            f"{whole} has {UNROUTED}, weights of the tokens of queries, and no Router that says so: queries would be "
            "answered by the network. Save it with SparseEncoder(modules=[Router.for_query_document(...)])"
            ".save_pretrained(...) of sentence-transformers, with a SparseStaticEmbedding for queries"
        )
    if static:
        tokenizer = load_static_tokenizer(folder)
    else:
        tokenizer = load_tokenizer(folder, modules.transformer, config.trust_remote_code)
    reranker = reranker_of(whole, model_config, modules, tokenizer) if task.name == "text-ranking" else None
    score = reranker.score if reranker else None
    if reranker:
        network = transformers.AutoModelForCausalLM if score else task.network
        task = replace(task, layout="templated_pairs", network=network)
    if modules.scores:
        task = replace(task, network=transformers.AutoModel)
    stated_config, model_config = model_config, with_one_score(model_config) if score else model_config
    refuse_chat(whole, tokenizer, task.name)
    task.settings(model_config, modules, tokenizer)  # refuses what cannot do the task
    if task.labelled:
        labels_of(model_config)
    if static:
        check_static(task.name)
        model: PreTrainedModel = static
    elif weights:
        model = load_network(folder, family, task, config, read_elsewhere=_read_elsewhere(whole, modules, config))
    else:
        model = network_without_weights(folder, stated_config, family, task, config)
    model = scoring(model, score) if score else model
    drop_strangers(folder, tokenizer, model_config.vocab_size)
    entities = None
    if labelled:
        entity_settings_of(labelled.settings, tokenizer)  # refuses a tokenizer that does not fit
        max_length = labelled.max_length(config.max_length, tokenizer, model_config, family)
        entities = labelled.head(family.width(model_config), weights=weights)
    else:
        max_length = max_length_of(config.max_length, modules.transformer, tokenizer, model_config, family)
    side_lengths = (0, 0)
    if modules.late:
        modules.late.check(family, model_config, tokenizer)
        side_lengths = modules.late.lengths(max_length, config.max_length, family.longest(model_config))
        max_length = max(side_lengths)
        settings_of(modules.late, tokenizer, *side_lengths)  # refuses tokens that the tokenizer does not have
    if modules.table:
        check_table(modules.table, tokenizer)
    if not modules.pools_prompt and tokenizer.truncation_side == "left":
        raise Unsupported(
            "the tokenizer of the checkpoint cuts at the start of a text (truncation_side), where the prompt stands "
            "that its pooling leaves out (include_prompt=false)"
        )
    if reranker:
        check_room(reranker, modules, tokenizer, max_length)
    return Checkpoint(
        source=source_of(config),
        folder=whole,
        original=original,
        revision=original.name if original.parent.name == "snapshots" else None,
        code=config.trust_remote_code,
        licence=licence_of(whole),
        task=task,
        config=model_config,
        family=family,
        model=model,
        tokenizer=tokenizer,
        modules=modules,
        max_length=max_length,
        trained_dimensions=trained_dimensions(whole, model_config),
        template=reranker.template if reranker else None,
        side_lengths=side_lengths,
        hybrid=hybrid,
        entities=entities,
        base=labelled.base if labelled else None,
        adapters=_adapters(config, whole, task, model, modules) if weights else (),
    )


def _adapters(
    config: ExportConfig, folder: Path, task: Task, model: PreTrainedModel, modules: SentenceModules
) -> tuple[Adapter, ...]:
    brought = brought_adapters(folder) if config.own_adapters and config.trust_remote_code is None else {}
    try:
        adapters = _read_adapters(_with(config, brought), task, model, modules)
    except (CheckpointError, Unsupported) as error:
        if not brought:
            raise
        raise type(error)(
            f"{error}. The checkpoint itself brings the adapters {', '.join(brought)}; --adapter none serves it "
            "without any"
        ) from error
    by_adapter = task.name in PROMPTED_BY_ADAPTER and not modules.default_prompt_name
    prompts = {name: prompt_of(name, modules.prompts) for name in brought} if by_adapter else {}
    return tuple(replace(each, prompt_name=prompts.get(each.name)) for each in adapters)


def _read_adapters(
    config: ExportConfig, task: Task, model: PreTrainedModel, modules: SentenceModules
) -> tuple[Adapter, ...]:
    if config.adapters and task.name not in ADAPTED:
        raise Unsupported(f"--adapter: adapters are not served for {task.name}, only for {', '.join(ADAPTED)}")
    if config.adapters and modules.table:
        raise Unsupported(
            "--adapter: adapters are not served for checkpoints that answer queries by a table of weights"
        )
    return read_adapters(config.adapters, model, saves_heads=task.name in WITH_HEADS)


def _with(config: ExportConfig, brought: dict[str, str]) -> ExportConfig:
    """`config` with the adapters that its checkpoint brings. Raises Unsupported: they cannot be served so, or one that
    is given has the name of one of them."""
    if twice := sorted({*brought} & {*config.adapters}):
        raise Unsupported(f"--adapter {twice[0]}: the checkpoint brings an adapter of that name")
    try:
        return replace(config, adapters={**config.adapters, **brought})
    except InvalidConfig as error:
        raise Unsupported(str(error)) from error


def _read_elsewhere(folder: Path, modules: SentenceModules, config: ExportConfig) -> tuple[str, ...]:
    """The tensors among the weights that are no part of the network of transformers, and that are read all the same."""
    if not is_stanford(folder):
        return ()
    if (folder / "modules.json").is_file():
        check_beside(folder, modules.token_dense, allow_pickle=config.allow_pickle)
    return (PROJECTION,)
