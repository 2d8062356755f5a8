"""Two pipelines of one fake server, whose answers come from tables."""

from collections.abc import Callable, Mapping

import numpy as np

from encserve import Client, InferRequest, PipelineInfo
from encserve.testing import FakeTransport, fake_pipeline
from encserve_lifecycle.comparison.side import Side

Answer = Callable[[list[str]], Mapping[str, np.ndarray]]


def sides_of(pipelines: list[PipelineInfo], answers: Mapping[str, Answer]) -> tuple[Side, Side]:
    """The two pipelines, each answering by its function of texts."""

    def answer(request: InferRequest) -> dict[str, np.ndarray]:
        texts = [text.decode() for text in request.inputs["text"]]
        counts = np.array([[len(text.split()) for text in texts]], np.int32)
        none = np.zeros_like(counts)
        return {"token_count": counts, "dropped_count": none, "window_count": none + 1, **answers[request.model](texts)}

    client = Client(transport=FakeTransport(answer, pipelines=pipelines))
    old, new = (Side.of(role, client, each.name) for role, each in zip(("old", "new"), pipelines, strict=True))
    return old, new


def vectors_of(vectors: Mapping[str, np.ndarray]) -> Answer:
    """Answers of a pipeline of vectors."""
    return lambda texts: {"embedding": np.array([[vectors[text] for text in texts]], np.float32)}


def labels_of(scores: Mapping[str, Mapping[str, float]]) -> Answer:
    """Answers of a classifier: text -> label -> score."""

    def answer(texts: list[str]) -> Mapping[str, np.ndarray]:
        ranked = [sorted(scores[text].items(), key=lambda item: -item[1]) for text in texts]
        return {
            "label": np.array([[[label.encode() for label, _ in each] for each in ranked]], object),
            "score": np.array([[[score for _, score in each] for each in ranked]], np.float32),
        }

    return answer


def pipeline(name: str, **changes: object) -> PipelineInfo:
    """A pipeline by that name."""
    return fake_pipeline(name=name, **changes)
