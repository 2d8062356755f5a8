"""What a cell must answer: for each task, a comparison of the served pipeline with the reference library.

Each takes (client, model, reference), asserts that labels, spans, offsets and order are equal, and yields the (served,
expected) numbers of each text.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from references import TEXTS, cut, spans_by_hand
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sparse_encoder.modules import SpladePooling

from .cells import MAX_LENGTH

TOLERANCE = 1e-4
LEAST_SPREAD = 1e-3
"""By which the first numbers of the answers must differ from text to text: equal ones would prove nothing."""
FILLS = 7


@dataclass(frozen=True)
class Reference:
    """The checkpoint of a cell."""

    folder: Path
    network: Any

    def pipeline(self, task, **options):
        """The pipeline of transformers."""
        model = self.network.from_pretrained(self.folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(self.folder)
        return transformers.pipeline(task, model=model, tokenizer=tokenizer, device="cpu", **options)


def largest_difference(task, client, model, reference):
    """The largest difference of any number from its expected value. Raises AssertionError if it is too large."""
    torch.set_num_threads(1)
    answers = [(np.ravel(ours), np.ravel(theirs)) for ours, theirs in COMPARISONS[task](client, model, reference)]
    firsts = [theirs[0] for _, theirs in answers if theirs.size]
    assert np.ptp(firsts) > LEAST_SPREAD, "all texts have all but the same answer, which proves nothing"
    served, expected = (np.concatenate(side) for side in zip(*answers, strict=True))
    difference = float(np.abs(served - expected).max())
    assert difference <= TOLERANCE
    return difference


def feature_extraction(client, model, reference):
    encoder = SentenceTransformer(str(reference.folder), device="cpu")
    encoder.max_seq_length = MAX_LENGTH
    yield from zip(client.embed(TEXTS, model=model).vectors, encoder.encode(TEXTS), strict=True)


def token_embedding(client, model, reference):
    pipeline = reference.pipeline("feature-extraction")
    answer = client.embed_tokens(TEXTS, model=model)
    for text, vectors, offsets in zip(TEXTS, answer.vectors, answer.offsets, strict=True):
        told = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
        tokens = pipeline.tokenizer(text, **told, **cut(pipeline.tokenizer))
        places = zip(tokens["offset_mapping"], tokens["special_tokens_mask"], strict=True)
        assert offsets.tolist() == [[-1, -1] if special else list(place) for place, special in places]
        yield vectors, np.array(pipeline(text, tokenize_kwargs=cut(pipeline.tokenizer))[0])


def sparse_embedding(client, model, reference):
    network = Transformer(str(reference.folder), transformer_task="fill-mask")
    encoder = SparseEncoder(modules=[network, SpladePooling("max")], device="cpu")
    encoder.max_seq_length = MAX_LENGTH
    rows = encoder.encode(TEXTS, convert_to_sparse_tensor=False).numpy()
    answer = client.embed_sparse(TEXTS, model=model)
    for ids, weights, row in zip(answer.token_ids, answer.weights, rows, strict=True):
        assert sorted(ids.tolist()) == np.flatnonzero(row).tolist()
        assert (np.diff(weights) <= 0).all()
        yield weights, row[ids]


def text_classification(client, model, reference):
    pipeline = reference.pipeline("text-classification", top_k=None)
    answer = client.classify(TEXTS, model=model)
    for text, labels, scores in zip(TEXTS, answer.labels, answer.scores, strict=True):
        expected = pipeline({"text": text}, **cut(pipeline.tokenizer))
        assert list(labels) == [each["label"] for each in expected]
        yield scores, [each["score"] for each in expected]
    assert answer.dropped_counts.any()


def text_ranking(client, model, reference):
    encoder = CrossEncoder(str(reference.folder), device="cpu", max_length=MAX_LENGTH)
    for query in ("storm in the harbour", "", TEXTS[-1]):
        expected = encoder.rank(query, TEXTS)
        answer = client.rerank(query, TEXTS, model=model)
        assert answer.indices.tolist() == [each["corpus_id"] for each in expected]
        yield answer.scores, [each["score"] for each in expected]


def token_classification(client, model, reference):
    for aggregation in ("none", "simple"):
        pipeline = reference.pipeline("token-classification", aggregation_strategy=aggregation)
        key = "entity" if aggregation == "none" else "entity_group"
        answer = client.classify_tokens(TEXTS, model=model, aggregation=aggregation)
        assert sum(map(len, answer.entities)) > len(TEXTS)
        for text, entities in zip(TEXTS, answer.entities, strict=True):
            expected = pipeline(text)
            assert [(e.label, e.start, e.end) for e in entities] == [(e[key], e["start"], e["end"]) for e in expected]
            assert [e.text for e in entities] == [text[e["start"] : e["end"]] for e in expected]
            yield [e.score for e in entities], [e["score"] for e in expected]


def question_answering(client, model, reference):
    for context in filter(None, TEXTS):
        spans, none, _ = spans_by_hand(reference.folder, "Who is it?", context)
        answer = client.answer("Who is it?", context, model=model, top_k=5)
        ranked = sorted(spans.items(), key=lambda item: -item[1])[:5]
        assert [(span.start, span.end) for span in answer.spans[0]] == [span for span, _ in ranked]
        assert [span.text for span in answer.spans[0]] == [context[begin:end] for (begin, end), _ in ranked]
        yield [span.score for span in answer.spans[0]], [score for _, score in ranked]
        yield answer.no_answer_scores, [none]


def fill_mask(client, model, reference):
    pipeline = reference.pipeline("fill-mask")
    texts = [f"<mask> {text[:40]} <mask>." if index % 2 else f"{text[:40]}<mask>" for index, text in enumerate(TEXTS)]
    answer = client.fill_mask(texts, model=model, top_k=FILLS)
    for text, masks in zip(texts, answer.masks, strict=True):
        expected = pipeline(text, top_k=FILLS)
        expected = [expected] if isinstance(expected[0], dict) else expected
        assert len(masks) == len(expected) == text.count("<mask>")
        for fills, each in zip(masks, expected, strict=True):
            assert [(fill.token_id, fill.token) for fill in fills] == [(e["token"], e["token_str"]) for e in each]
            yield [fill.score for fill in fills], [e["score"] for e in each]


def zero_shot_classification(client, model, reference):
    pipeline = reference.pipeline("zero-shot-classification")
    texts, labels = [text for text in TEXTS if text], ["weather", "Geld 💰", "sport"]
    for multi_label in (False, True):
        answer = client.classify_zero_shot(texts, labels, model=model, multi_label=multi_label)
        for text, found, scores in zip(texts, answer.labels, answer.scores, strict=True):
            expected = pipeline(text, candidate_labels=labels, multi_label=multi_label)
            assert list(found) == expected["labels"]
            yield scores, expected["scores"]


COMPARISONS = {
    "feature-extraction": feature_extraction,
    "token-embedding": token_embedding,
    "sparse-embedding": sparse_embedding,
    "text-classification": text_classification,
    "text-ranking": text_ranking,
    "token-classification": token_classification,
    "question-answering": question_answering,
    "fill-mask": fill_mask,
    "zero-shot-classification": zero_shot_classification,
}
