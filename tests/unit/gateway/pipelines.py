"""Pipelines that answer by a rule, so that a test can tell whose vector it got and with which options."""

import json
import zlib

import numpy as np

from encserve import AsyncClient, InvalidInput, Retry
from encserve.testing import AsyncFakeTransport, fake_pipeline
from encserve_gateway.app import Gateway
from encserve_gateway.config import GatewayConfig

DIMENSIONS = 16
MAX_LENGTH = 8
EMBED = fake_pipeline(
    name="embed",
    dimensions=DIMENSIONS,
    max_length=MAX_LENGTH,
    max_bytes_per_text=1 << 24,
    prompt_names=("query", "document"),
)
PLAIN = fake_pipeline(name="plain", dimensions=DIMENSIONS, max_length=MAX_LENGTH)
RERANK = fake_pipeline(name="rerank", task="text-ranking", dimensions=1, pairs=True, max_length=MAX_LENGTH)
TOKENS = fake_pipeline(name="tokens", task="token-embedding", dimensions=DIMENSIONS, max_length=MAX_LENGTH)
SPARSE = fake_pipeline(name="sparse", task="sparse-embedding", dimensions=100, max_length=MAX_LENGTH)
HYBRID = fake_pipeline(name="hybrid", task="hybrid-embedding", dimensions=DIMENSIONS, max_length=MAX_LENGTH)
LABELS = ("positive", "neutral", "negative")
CLASSIFY = fake_pipeline(
    name="classify", task="text-classification", dimensions=3, labels=LABELS, max_length=MAX_LENGTH
)
ENTAIL = fake_pipeline(
    name="entail", task="text-classification", dimensions=3, labels=LABELS, pairs=True, max_length=MAX_LENGTH
)
TAG = fake_pipeline(name="tag", task="token-classification", dimensions=2, labels=("O", "LOC"), max_length=MAX_LENGTH)
ZERO_SHOT = fake_pipeline(name="zero-shot", task="zero-shot-classification", dimensions=3, max_length=MAX_LENGTH)
ENTITIES = fake_pipeline(name="entities", task="zero-shot-token-classification", dimensions=256, max_length=MAX_LENGTH)
MASK = fake_pipeline(name="mask", task="fill-mask", dimensions=9, mask_token="[MASK]", max_length=MAX_LENGTH)
QUESTION = fake_pipeline(name="question", task="question-answering", dimensions=2, pairs=True, max_length=MAX_LENGTH)
GENERATE = fake_pipeline(name="generate", task="text2text-generation", dimensions=9, max_length=MAX_LENGTH)
PIPELINES = (
    *(EMBED, PLAIN, RERANK, TOKENS, SPARSE, HYBRID, CLASSIFY, ENTAIL, TAG, ZERO_SHOT, ENTITIES, MASK, QUESTION),
    GENERATE,
)


def vector_of(text, *, normalize=True, dimensions=None, prompt_name=None, truncate=None):
    """The vector that the fake gives a text, by its words: float32 (dim,)."""
    words = text.split()
    kept = words[-(MAX_LENGTH - 2) :] if truncate == "start" else words[: MAX_LENGTH - 2]
    seed = zlib.crc32(" ".join([prompt_name or "", *kept]).encode())
    vector = np.random.default_rng(seed).normal(size=DIMENSIONS).astype(np.float32)[:dimensions]
    return vector / np.linalg.norm(vector) if normalize else vector * 3


def tokens_of(text):
    """Tokens that the fake says it saw and cut: a word each, and two special ones."""
    words = len(text.split())
    return min(words, MAX_LENGTH - 2) + 2, max(words - (MAX_LENGTH - 2), 0)


def embedded(request, texts):
    options = {name: value for name, value in request.parameters.items() if name in ("normalize", "dimensions")}
    options |= {name: request.parameters.get(name) for name in ("prompt_name", "truncate")}
    check_dimensions(request)
    vectors = np.array([vector_of(text, **options) for text in texts], np.float32)
    return of_types(request, vectors[None]) | one_window(texts)


def of_types(request, vectors):
    """Vectors (1, n, d) in the type that is asked for."""
    kinds = {
        "embedding": vectors,
        "embedding_int8": np.rint(vectors * 9).astype(np.int8),
        "embedding_binary": np.packbits(vectors > 0, axis=2),
    }
    return {name: rows for name, rows in kinds.items() if name in request.outputs}


def check_dimensions(request):
    dimensions = request.parameters.get("dimensions", DIMENSIONS)
    if dimensions > DIMENSIONS:
        raise InvalidInput(f"dimensions is {dimensions}, the vectors have {DIMENSIONS}")


def ranked(request, texts):
    """Longer documents are better."""
    scores = np.array([len(text) for text in texts], np.float32)
    order = np.argsort(-scores, kind="stable")[: request.parameters.get("top_k")]
    return {"index": order[None].astype(np.int32), "score": scores[order][None] / 100}


def embedded_tokens(request, texts):
    check_dimensions(request)
    if "span_count" in request.outputs:
        return embedded_spans(request, texts)
    total = sum(tokens_of(text)[0] for text in texts)
    vectors = np.arange(total * DIMENSIONS, dtype=np.float32).reshape(1, total, DIMENSIONS)
    vectors = vectors[..., : request.parameters.get("dimensions")]
    return of_types(request, vectors) | {"offsets": np.full((1, total, 2), -1, np.int32)}


def embedded_spans(request, texts):
    """A vector for each span that is given, or for each text."""
    given = request.parameters.get("spans")
    own = json.loads(given) if given else [[[0, max(1, len(text))]] for text in texts]
    vectors = np.arange(sum(map(len, own)) * DIMENSIONS, dtype=np.float32).reshape(1, -1, DIMENSIONS)
    return of_types(request, vectors[..., : request.parameters.get("dimensions")]) | {
        "span_count": np.array([list(map(len, own))], np.int32),
        "span_offsets": np.array([span for each in own for span in each], np.int32).reshape(1, -1, 2),
    }


def embedded_sparsely(request, texts):
    """Each text has the terms 7, 3 and 5, heaviest first."""
    ids = np.tile(np.array([7, 3, 5], np.int32), len(texts))
    weights = np.tile(np.array([0.9, 0.5, 0.1], np.float32), len(texts))
    count = np.full((1, len(texts)), 3, np.int32)
    return {"term_count": count, "token_id": ids[None], "weight": weights[None]}


def embedded_in_all_ways(request, texts):
    """What is asked for of a vector, the same terms as by `embedded_sparsely`, and the vectors of tokens."""
    total = sum(tokens_of(text)[0] for text in texts)
    tokens = np.arange(total * DIMENSIONS, dtype=np.float32).reshape(1, total, DIMENSIONS)
    given = {
        **embedded(request, texts),
        **embedded_sparsely(request, texts),
        "token_embedding": tokens,
        "token_embedding_int8": tokens.astype(np.int8),
        "token_embedding_binary": np.packbits(tokens > 0, axis=-1),
        "offsets": np.full((1, total, 2), -1, np.int32),
        "vector_count": np.array([[tokens_of(text)[0] for text in texts]], np.int32),
    }
    return {name: tensor for name, tensor in given.items() if name in request.outputs}


def classified(request, texts):
    """The first label is that of the number of words."""
    labels, scores = [], [[0.7, 0.2, 0.1]] * len(texts)
    for text in texts:
        first = len(text.split()) % 3
        labels += [LABELS[first], LABELS[(first + 1) % 3], LABELS[(first + 2) % 3]]
    kept = request.parameters.get("top_k", 3)
    chosen = np.array(labels, object).reshape(1, -1, 3)[..., :kept]
    encoded = np.array([label.encode() for label in chosen.ravel()], object).reshape(chosen.shape)
    scores = np.array([scores], np.float32)[..., :kept]
    if request.parameters.get("probabilities"):  # which stand behind the scores
        scores = np.concatenate([scores, scores / 2], axis=-1)
    return {"label": encoded, "score": scores} | one_window(texts)


def check_top_k(request, task):
    """Servers refuse to give more of what there are so many of."""
    most = {"text-classification": len(LABELS), "fill-mask": 9, "question-answering": 100}
    if request.parameters.get("top_k", 1) > most.get(task, 1 << 63):
        raise InvalidInput(f"top_k is {request.parameters['top_k']}, expected at most {most[task]}")


def strings(values, shape):
    array = np.empty(len(values), object)
    array[:] = [value.encode() for value in values]
    return array.reshape(shape)


def tagged(request, texts):
    """The first word is a place, and where every token is told, the last is none."""
    spans = []
    for text in texts:
        words = text.split() or [""]
        spans += [("LOC", words[0], 0, len(words[0])), ("O", words[-1], len(text) - len(words[-1]), len(text))]
    labels, entities, starts, ends = zip(*spans, strict=True)
    shape = (1, len(spans))
    return {
        "entity_count": np.full((1, len(texts)), 2, np.int32),
        "label": strings(labels, shape),
        "entity": strings(entities, shape),
        "score": np.full(shape, 0.5, np.float32),
        "start": np.array([starts], np.int32),
        "end": np.array([ends], np.int32),
    } | one_window(texts)


def classified_by_its_labels(request, texts):
    """The labels of the request, in their order."""
    labels = json.loads(request.parameters["labels"])
    scores = np.linspace(0.9, 0.1, len(labels), dtype=np.float32)
    shape = (1, len(texts), len(labels))
    return {"label": strings(labels * len(texts), shape), "score": np.tile(scores, len(texts)).reshape(shape)}


def tagged_with_its_first_label(request, texts):
    """The first word of each text, with the first label of the request."""
    label, *_ = json.loads(request.parameters["labels"])
    words = [text.partition(" ")[0] for text in texts]
    ends = np.array([[len(word) for word in words]], np.int32)
    return {
        "entity_count": np.ones((1, len(texts)), np.int32),
        "label": strings([label] * len(texts), (1, len(texts))),
        "entity": strings(words, (1, len(texts))),
        "score": np.full((1, len(texts)), 0.75, np.float32),
        "start": np.zeros_like(ends),
        "end": ends,
    }


def filled(request, texts):
    """The tokens are " red", " green" and so on, of which there are five."""
    masks = [text.count("[MASK]") for text in texts]
    if "pseudo_log_likelihood" in request.outputs:
        return {
            "mask_count": np.array([masks], np.int32),
            "pseudo_log_likelihood": np.array([[-float(len(text)) for text in texts]], np.float32),
        }
    kept = request.parameters.get("top_k", 5)
    shape = (1, sum(masks), kept)
    tokens = ([" red", " green", " blue", " white", " black"] * kept)[:kept]
    return {
        "mask_count": np.array([masks], np.int32),
        "token": strings(tokens * sum(masks), shape),
        "token_id": np.tile(np.arange(kept, dtype=np.int32), sum(masks)).reshape(shape),
        "score": np.full(shape, 0.25, np.float32),
    }


def answered_question(request, texts):
    """The words of the context, in their order."""
    kept = request.parameters.get("top_k", 1)
    words = texts[0].split()[:kept]
    missing = [-1] * (kept - len(words))  # places that begin at -1 are none
    starts = [texts[0].index(word) for word in words] + missing
    ends = [start + len(word) for start, word in zip(starts, words, strict=False)] + missing
    words += [""] * len(missing)
    shape = (1, 1, kept)
    return {
        "answer": strings(words, shape),
        "score": np.full(shape, 0.5, np.float32),
        "start": np.array(starts, np.int32).reshape(shape),
        "end": np.array(ends, np.int32).reshape(shape),
        "no_answer_score": np.zeros((1, 1), np.float32),
    } | one_window(texts)


def generated(request, texts):
    """The words of each text, in capitals; of a stream each by itself, with the counts of its text."""
    most = request.parameters.get("max_new_tokens", MAX_LENGTH)
    words = [text.upper().split()[:most] for text in texts]
    if not request.parameters.get("stream"):
        ends = ["length" if len(each) == most else "eos" for each in words]
        return pieces_of([" ".join(each) for each in words], ends, [len(each) + 1 for each in words])
    counts = {name: np.array([[tokens_of(texts[0])[part]]], np.int32) for part, name in enumerate(COUNTS)}
    pieces = [word if not number else f" {word}" for number, word in enumerate(words[0])]
    parts = [pieces_of([piece], [""], [number]) for number, piece in enumerate(pieces, 1)]
    return [part | counts for part in [*parts, pieces_of([""], ["eos"], [len(pieces) + 1])]]


COUNTS = ("token_count", "dropped_count")


def pieces_of(texts, finishes, tokens):
    """One response about texts."""
    shape = (1, len(texts))
    return {
        "text_output": strings(texts, shape),
        "index": np.arange(len(texts), dtype=np.int32)[None],
        "finish": strings(finishes, shape),
        "output_token_count": np.array([tokens], np.int32),
    }


def one_window(texts):
    return {"window_count": np.ones((1, len(texts)), np.int32)}


ANSWERS = {
    "feature-extraction": embedded,
    "text-ranking": ranked,
    "token-embedding": embedded_tokens,
    "sparse-embedding": embedded_sparsely,
    "hybrid-embedding": embedded_in_all_ways,
    "text-classification": classified,
    "token-classification": tagged,
    "zero-shot-classification": classified_by_its_labels,
    "zero-shot-token-classification": tagged_with_its_first_label,
    "fill-mask": filled,
    "question-answering": answered_question,
    "text2text-generation": generated,
}


def answer(request):
    """The tensors of an answer, by the task of the pipeline that is asked."""
    pipeline = next(each for each in PIPELINES if each.name == request.model.removesuffix("_generate"))
    check_top_k(request, pipeline.task)
    texts = [text.decode() for text in request.inputs["text_pair" if pipeline.pairs else "text"]]
    counts = np.array([[tokens_of(text)[part] for text in texts] for part in (0, 1)], np.int32)
    answered = ANSWERS[pipeline.task](request, texts)
    if isinstance(answered, list):
        return answered
    return {"token_count": counts[:1], "dropped_count": counts[1:]} | answered


class Fake:
    """A gateway before fake pipelines; `requests` are those that reached them."""

    def __init__(self, function=answer, *, pipelines=PIPELINES, timeout_s=5, **config):
        self.requests = []
        self.function = function
        self.pipelines = pipelines
        self.timeout_s = timeout_s
        self.transport = None
        self.gateway = Gateway(self._connect, GatewayConfig(**config), connect_once=self._connect_once)

    def _connect(self):
        self.transport = AsyncFakeTransport(self._answer, pipelines=self.pipelines)
        retry = Retry(attempts=2, initial_s=0.001, maximum_s=0.001)
        return AsyncClient(transport=self.transport, retry=retry, timeout_s=self.timeout_s)

    def _connect_once(self):
        transport = AsyncFakeTransport(self._answer, pipelines=self.pipelines)
        return AsyncClient(transport=transport, retry=Retry(attempts=1), timeout_s=self.timeout_s)

    def _answer(self, request):
        self.requests.append(request)
        return self.function(request)

    @property
    def texts(self):
        return [text.decode() for request in self.requests for text in request.inputs["text"]]

    def number(self, name, **labels):
        """A number of the gateway's metrics; 0 where nothing was counted."""
        return self.gateway.metrics.registry.get_sample_value(f"encserve_gateway_{name}", labels) or 0
