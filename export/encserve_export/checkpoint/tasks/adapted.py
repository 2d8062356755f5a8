"""The tasks whose pipelines may have adapters, by what an adapter may bring."""

WITH_HEADS = (
    "question-answering",
    "text-classification",
    "text-ranking",
    "token-classification",
    "zero-shot-classification",
)
"""Tasks of which an adapter may bring a head of its own."""
ADAPTED = (*WITH_HEADS, "feature-extraction", "fill-mask", "sparse-embedding", "token-embedding")
"""Tasks whose pipelines may have adapters."""
ADAPTED_BY_TEXT = (
    "feature-extraction",
    "sparse-embedding",
    "text-classification",
    "token-classification",
    "token-embedding",
)
"""Those of them in which each text of a request may have another one."""
PROMPTED_BY_ADAPTER = ("feature-extraction", "token-embedding")
"""Those of them in which an adapter that a checkpoint brings comes with the prompt of its name."""
