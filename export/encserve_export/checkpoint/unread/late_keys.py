"""The keys of checkpoints for late interaction that nobody reads, and why each may be passed over."""

from __future__ import annotations

from .keys import Unread

STANFORD_KEYS = (
    Unread("is how queries and documents meet, which is done", ("interaction",), ("colbert", None)),
    Unread("is the product that is taken of two vectors", ("similarity",), ("cosine", None)),
    Unread("asks for nothing", ("relu",), (False, None)),
    Unread("names a marker for people; the token is stated beside it", ("query_token", "doc_token")),
    Unread(
        "matters in training only",
        (
            "accumsteps",
            "bsize",
            "checkpoint",
            "collection",
            "distillation_alpha",
            "ignore_scores",
            "lr",
            "maxsteps",
            "model_name",
            "nway",
            "queries",
            "reranker",
            "resume",
            "save_every",
            "schedule",
            "triples",
            "use_ib_negatives",
            "warmup*",
        ),
    ),
    Unread(
        "is of the index of a search, or of the run that made the file",
        (
            "amp",
            "avoid_fork_if_possible",
            "centroid_score_threshold",
            "config",
            "experiment",
            "gpus",
            "index_*",
            "kmeans_niters",
            "load_index_with_mmap",
            "meta",
            "name",
            "nbits",
            "ncells",
            "ndocs",
            "nprobe",
            "nranks",
            "overwrite",
            "rank",
            "root",
            "total_visible_gpus",
            "use_rel_cutoff",
        ),
    ),
)
"""Keys of `artifact.metadata`, in which Stanford's code writes down all of its settings."""
