"""The tasks that are served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import transformers

from encserve_export.checkpoint.gliner.layout import ENTITIES
from encserve_export.errors import Unsupported

from . import settings as task_settings
from .task import BYTES, COUNTS, FP32, INT8, INT32, UINT8, GraphOutput, Task

_TEXT_CLASSIFICATION = Task(
    name="text-classification",
    network=transformers.AutoModelForSequenceClassification,
    outputs=(GraphOutput("logits"),),
    layout="single_texts",
    head="labels.classification",
    head_inputs=("lengths", "window_count"),
    counts=(*COUNTS, "window_count"),
    tensors={"label": (BYTES, 2), "score": (FP32, 2)},
    answers=("label", "score"),
    labelled=True,
    settings=task_settings.classification,
)

ENTITY_OUTPUTS = ("entity_count", "label", "entity", "score", "start", "end")

_VECTORS = {"embedding": (FP32, 2), "embedding_int8": (INT8, 2), "embedding_binary": (UINT8, 2)}
"""Vectors in each of their types, of which a request chooses one."""

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="feature-extraction",
            network=transformers.AutoModel,
            outputs=(GraphOutput("sentence_embedding"),),
            prompts=True,
            layout="single_texts",
            head="vectors.text_vectors",
            head_inputs=("lengths", "window_count"),
            counts=(*COUNTS, "window_count"),
            tensors=_VECTORS,
            answers=(*_VECTORS,),
            logits=False,
        ),
        Task(
            name="token-embedding",
            network=transformers.AutoModel,
            outputs=(GraphOutput("token_embedding", follows="input_ids"),),
            prompts=True,
            layout="tagged_texts",
            head="vectors.token_vectors",
            tensors={"offsets": (INT32, 2), **_VECTORS},
            answers=(*_VECTORS,),
            counts=(*COUNTS, "offsets"),
            logits=False,
            settings=task_settings.token_classification,
        ),
        Task(
            name="sparse-embedding",
            network=transformers.AutoModelForMaskedLM,
            outputs=(GraphOutput("vocabulary_weights"),),
            prompts=True,
            layout="single_texts",
            head="vectors.sparse_vectors",
            tensors={"term_count": (INT32, 1), "token_id": (INT32, 1), "weight": (FP32, 1)},
            answers=("term_count", "token_id", "weight"),
            logits=False,
        ),
        _TEXT_CLASSIFICATION,
        Task(
            name="text-ranking",
            network=transformers.AutoModelForSequenceClassification,
            outputs=(GraphOutput("logits"),),
            pairs=True,
            prompts=True,
            layout="text_pairs",
            head="labels.ranking",
            tensors={"index": (INT32, 1), "score": (FP32, 1)},
            answers=("index", "score"),
            settings=task_settings.ranking,
        ),
        Task(
            name="token-classification",
            network=transformers.AutoModelForTokenClassification,
            outputs=(GraphOutput("logits", follows="input_ids"),),
            layout="tagged_texts",
            head="entities.tagged",
            head_inputs=("row_count", "offsets", "continues", "text"),
            counts=(*COUNTS, "window_count"),
            tensors={
                "row_count": (INT32, 1),
                "offsets": (INT32, 2),
                "continues": (INT32, 1),
                "entity_count": (INT32, 1),
                "label": (BYTES, 1),
                "entity": (BYTES, 1),
                "score": (FP32, 1),
                "start": (INT32, 1),
                "end": (INT32, 1),
            },
            answers=ENTITY_OUTPUTS,
            labelled=True,
            settings=task_settings.token_classification,
        ),
        Task(
            name="question-answering",
            network=transformers.AutoModelForQuestionAnswering,
            outputs=(GraphOutput("logits", follows="input_ids"),),
            pairs=True,
            layout="context_windows",
            head="spans",
            head_inputs=("lengths", "window_count", "offsets", "word_offsets", "text_pair"),
            tensors={
                "offsets": (INT32, 2),
                "word_offsets": (INT32, 2),
                "answer": (BYTES, 2),
                "score": (FP32, 2),
                "start": (INT32, 2),
                "end": (INT32, 2),
                "no_answer_score": (FP32, 1),
            },
            answers=("answer", "score", "start", "end", "no_answer_score"),
            counts=(*COUNTS, "window_count"),
            settings=task_settings.question_answering,
        ),
        Task(
            name="fill-mask",
            network=transformers.AutoModelForMaskedLM,
            outputs=(GraphOutput("logits", follows="mask_at"),),
            graph_extra=("mask_at",),
            layout="masked_texts",
            head="mask_fills",
            head_inputs=("target_id", "mask_count"),
            tensors={
                "mask_count": (INT32, 1),
                "target_id": (INT32, 1),
                "pseudo_log_likelihood": (FP32, 1),
                "token": (BYTES, 2),
                "token_id": (INT32, 2),
                "score": (FP32, 2),
            },
            answers=("token", "token_id", "score", "pseudo_log_likelihood"),
            counts=(*COUNTS, "mask_count"),
            settings=task_settings.fill_mask,
        ),
        Task(
            name="zero-shot-classification",
            network=transformers.AutoModelForSequenceClassification,
            outputs=(GraphOutput("logits"),),
            layout="hypotheses",
            head="labels.entailment",
            tensors={"label": (BYTES, 2), "score": (FP32, 2)},
            answers=("label", "score"),
            settings=task_settings.zero_shot,
        ),
    )
}


GENERATION = Task(
    name="text2text-generation",
    network=transformers.AutoModelForSeq2SeqLM,
    outputs=(GraphOutput("logits"),),
    generates=True,
    prompts=True,
    layout="single_texts",
    head="",
    tensors={"text_output": (BYTES, 1), "index": (INT32, 1), "finish": (BYTES, 1), "output_token_count": (INT32, 1)},
    answers=("text_output", "index", "finish", "output_token_count"),
)
"""The task of pipelines that have one step, and no head."""


LATE_INTERACTION = Task(
    name="late-interaction",
    network=transformers.AutoModel,
    outputs=(GraphOutput("token_embedding", follows="input_ids"),),
    layout="queries_and_documents",
    head="vectors.late_interaction",
    head_inputs=("vector_at", "vector_count", "document_vector", "document_count"),
    counts=(*COUNTS, "vector_count", "offsets"),
    tensors={
        "vector_at": (INT32, 1),
        "vector_count": (INT32, 1),
        "document_vector": (FP32, 2),
        "document_count": (INT32, 1),
        "offsets": (INT32, 2),
        **_VECTORS,
        "index": (INT32, 1),
        "score": (FP32, 1),
    },
    answers=(*_VECTORS, "index", "score"),
    logits=False,
)
"""The task of checkpoints whose files say what a query is to them and what a document, which no family does by
itself."""


HYBRID_EMBEDDING = Task(
    name="hybrid-embedding",
    network=transformers.AutoModel,
    outputs=(
        GraphOutput("sentence_embedding", option="dense"),
        GraphOutput("token_weight", follows="input_ids", option="sparse"),
        GraphOutput("token_vector", follows="input_ids", option="tokens"),
    ),
    layout="texts_with_vectors",
    head="vectors.hybrid",
    head_inputs=("input_ids", "lengths", "vector_at", "vector_count"),
    counts=(*COUNTS, "vector_count", "offsets"),
    tensors={
        "vector_at": (INT32, 1),
        "vector_count": (INT32, 1),
        "offsets": (INT32, 2),
        **_VECTORS,
        "term_count": (INT32, 1),
        "token_id": (INT32, 1),
        "weight": (FP32, 1),
        **{f"token_{name}": kind for name, kind in _VECTORS.items()},
    },
    answers=(*_VECTORS, "term_count", "token_id", "weight", *(f"token_{name}" for name in _VECTORS)),
    logits=False,
    settings=task_settings.hybrid,
)
"""The task of BGE-M3: the vector of a text, weights of its tokens as a sparse vector, and vectors of its tokens, of one
pass. A request chooses among them."""


ZERO_SHOT_ENTITIES = Task(
    name=ENTITIES,
    network=transformers.AutoModel,
    outputs=(GraphOutput("logits", follows="input_ids"),),
    graph_extra=("entity_roles",),
    layout="labelled_words",
    head="entities.labelled_entities",
    head_inputs=("lengths", "entity_roles", "word_count", "word_offsets", "text"),
    tensors={
        "word_count": (INT32, 1),
        "word_offsets": (INT32, 2),
        **{name: TASKS["token-classification"].tensors[name] for name in ENTITY_OUTPUTS},
    },
    answers=ENTITY_OUTPUTS,
)
"""The task of GLiNER: entities of labels that a request brings."""


_BY_TABLE = replace(
    TASKS["sparse-embedding"],
    layout="queries_by_table",
    head="vectors.sparse_sides",
    head_inputs=("query_term_count", "query_term_id", "query_term_weight"),
    tensors={
        **TASKS["sparse-embedding"].tensors,
        "query_term_count": (INT32, 1),
        "query_term_id": (INT32, 1),
        "query_term_weight": (FP32, 1),
    },
)
"""Sparse vectors where a table answers queries: the tokenize step looks them up, and the network sees documents."""


_IN_SPANS = replace(
    TASKS["token-embedding"],
    layout="texts_in_spans",
    head="vectors.token_or_span_vectors",
    head_inputs=("span_at", "span_count"),
    counts=(*TASKS["token-embedding"].counts, "span_count", "span_offsets"),
    tensors={
        **TASKS["token-embedding"].tensors,
        "span_at": (INT32, 2),
        "span_count": (INT32, 1),
        "span_offsets": (INT32, 2),
    },
)
"""Vectors of tokens of which a request may have the means over spans: of checkpoints whose texts are such means."""


OFFERED = (*TASKS, LATE_INTERACTION.name, HYBRID_EMBEDDING.name, ENTITIES, GENERATION.name)
"""The names of all tasks."""

IN_SPANS = "spans"
"""The option that shows of a pipeline of token vectors that it has means over spans, too."""
BY_TABLE = "input_type"
"""The option by whose default a manifest shows that a pipeline of sparse vectors answers queries by a table."""

_OF_THEIR_OWN = {task.name: task for task in (LATE_INTERACTION, HYBRID_EMBEDDING, ZERO_SHOT_ENTITIES, GENERATION)}


def stated_task_of(stated: Mapping[str, Any]) -> Task:
    """The task of a pipeline, by the fields of its manifest."""
    name, offered = stated["task"], stated.get("option_defaults", {})
    return task_of(
        name,
        pairs=stated["pairs"],
        by_table=name == _BY_TABLE.name and BY_TABLE in offered,
        in_spans=name == _IN_SPANS.name and IN_SPANS in offered,
    )


def task_of(name: str, *, pairs: bool, by_table: bool = False, in_spans: bool = False) -> Task:
    """The task `name`, of pairs of texts where `pairs` says so and the task allows both; of sparse vectors `by_table`
    where those of queries come out of a table; of token vectors `in_spans` where means of them are offered."""
    if in_spans:
        return _IN_SPANS
    if by_table:
        return _BY_TABLE
    task = _OF_THEIR_OWN.get(name) or TASKS[name]
    if pairs and not task.pairs:
        if task is not _TEXT_CLASSIFICATION:
            raise Unsupported(f"--pairs: {name} is no task of sentence pairs; text-classification can be one")
        return replace(task, pairs=True, layout="text_pairs")
    return task
