"""Loading a Hugging Face checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import transformers
from transformers import PreTrainedModel

from encserve_export.adapters.parametrized import has_tasks, laid_out
from encserve_export.attention.families import GENERATORS, family_of
from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, Unsupported

from .adapters import adapters_of
from .checkpoint import Checkpoint
from .configuration import load_config
from .foreign.laying_out import is_foreign, laid_out_natively
from .gliner.layout import ENTITIES
from .hybrid_layers import HYBRID, pooled_as_m3, read_hybrid_layers
from .labelled_entities import read_labelled_entities
from .labelled_entities import settings_of as entity_settings_of
from .late.interaction import settings_of
from .late.stanford import PROJECTION, check_beside, is_stanford
from .reranker import check_room, refuse_chat, reranker_of
from .rerankers.logit_score import scoring, with_one_score
from .sentence.listed import network_folder
from .sentence.modules import SentenceModules, check_modules, read_sentence_modules
from .sentence.query_table import UNROUTED, check_table
from .sentence.trained_dimensions import trained_dimensions
from .source import checkpoint_folder, licence_of, source_of
from .static.reading import check_static, load_static_tokenizer, static_network_of
from .tasks.stated import task_name
from .tasks.table import GENERATION, task_of
from .tasks.task import labels_of
from .tokenizer import drop_strangers, load_tokenizer, max_length_of
from .weights import load_network, network_without_weights


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
    if is_foreign(network_folder(whole), config):
        whole = laid_out_natively(whole, network_folder(whole))
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
        adapters=adapters_of(config, whole, task, model, modules) if weights else (),
    )


def _read_elsewhere(folder: Path, modules: SentenceModules, config: ExportConfig) -> tuple[str, ...]:
    """The tensors among the weights that are no part of the network of transformers, and that are read all the same."""
    if not is_stanford(folder):
        return ()
    if (folder / "modules.json").is_file():
        check_beside(folder, modules.token_dense, allow_pickle=config.allow_pickle)
    return (PROJECTION,)
