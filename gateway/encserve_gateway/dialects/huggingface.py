"""The pipelines of transformers over HTTP, as `huggingface_hub.InferenceClient(base_url)` asks them.

`POST /models/NAME` is what the task of NAME makes of it, and `POST /` that of the first name, unless the body says what
it is about. One text has the answer of one, a list of texts a list of such; of text classification one text has a list
too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from encserve import Answers, AsyncClient, Entity
from encserve_gateway.bodies.fields import Fields
from encserve_gateway.bodies.search import SEARCH, search_of
from encserve_gateway.dialects.tei import scores, vectors
from encserve_gateway.dialects.tei.errors import error_response
from encserve_gateway.exchange import Exchange
from encserve_gateway.faults import Fault, Kind
from encserve_gateway.http.body import json_type
from encserve_gateway.http.response import Response, json_response
from encserve_gateway.pipelines.upstream import Served
from encserve_gateway.questions import Question
from encserve_gateway.routes import Dialect, Route


async def pipeline(exchange: Exchange) -> Response:
    """`POST /` and `POST /models/NAME`."""
    fields, name = exchange.fields, exchange.parameters.get("model")
    if "query" in fields and "texts" in fields:
        return await scores.rerank(exchange)
    inputs = fields.get("inputs")
    if isinstance(inputs, dict) and "source_sentence" in inputs:
        return await vectors.similarity(exchange)
    if name:
        served = await exchange.any(name)
    elif isinstance(inputs, dict) and "question" in inputs:
        served = await exchange.named(None, "question-answering")
    elif "candidate_labels" in (fields.nested("parameters") or Fields({})):
        served = await exchange.named(None, "zero-shot-classification")
    else:
        served = await exchange.any(None)
    if served.pipeline.task in VECTORS:
        exchange.parameters = {"model": served.name}
        return await VECTORS[served.pipeline.task](exchange)
    if served.pipeline.task not in PIPELINES:
        raise Fault(Kind.WRONG_TASK, f"a model of {served.pipeline.task} is asked at /rerank")
    return json_response(await PIPELINES[served.pipeline.task](exchange, served))


async def classify_texts(exchange: Exchange, served: Served) -> Any:
    """`text-classification`: of each text its labels, in a list for one text too."""
    parameters = _parameters(exchange, allowed=("top_k",))
    inputs = exchange.fields.get("inputs")
    if served.pipeline.pairs:
        objects = inputs if isinstance(inputs, list) else [inputs]
        pairs = [Fields(each, inside="inputs") for each in objects if isinstance(each, dict)]
        if not pairs or len(pairs) != len(objects):
            raise exchange.fields.wrong("inputs", "is not of objects with text and text_pair, which this model takes")
        texts = [each.required_text("text") for each in pairs]
        seconds = [each.required_text("text_pair") for each in pairs]
    else:
        texts, seconds = _texts(exchange)[0], None
    top_k = parameters.whole("top_k", least=1)
    top_k = min(top_k, len(served.pipeline.labels)) if top_k and served.pipeline.labels else top_k
    answer = await Question(exchange=exchange, served=served, field="inputs").classify(texts, seconds, top_k=top_k)
    return [_labelled(labels, scores) for labels, scores in zip(answer.labels, answer.scores, strict=True)]


async def classify_tokens(exchange: Exchange, served: Served) -> Any:
    """`token-classification`: the entities of a text."""
    parameters = _parameters(exchange, allowed=("aggregation_strategy", "ignore_labels"))
    texts, is_list = _texts(exchange)
    strategies = ("none", "simple", "first", "average", "max")
    strategy = parameters.choice("aggregation_strategy", strategies)
    ignored = ["O"] if "ignore_labels" not in parameters else parameters.get("ignore_labels")
    if not isinstance(ignored, list):
        raise parameters.wrong("ignore_labels", f"is {json_type(ignored)}, expected a list of labels")
    question = Question(exchange=exchange, served=served, field="inputs")
    answer = await question.ask(AsyncClient.classify_tokens, texts, aggregation=strategy)
    key = "entity" if strategy == "none" else "entity_group"
    found = [[_entity(key, each) for each in entities if each.label not in ignored] for entities in answer.entities]
    return found if is_list else found[0]


async def classify_zero_shot(exchange: Exchange, served: Served) -> Any:
    """`zero-shot-classification`: the labels of the request, likeliest first."""
    parameters = _parameters(exchange, allowed=("candidate_labels", "multi_label", "hypothesis_template"))
    texts, is_list = _texts(exchange)
    labels = parameters.required("candidate_labels")
    if isinstance(labels, str):  # transformers takes them with commas between
        labels = [label.strip() for label in labels.split(",") if label.strip()]
    else:
        labels = parameters.texts("candidate_labels", most=exchange.services.config.max_texts)
    question = Question(exchange=exchange, served=served, field="inputs")
    answer = await question.ask(
        AsyncClient.classify_zero_shot,
        texts,
        labels,
        multi_label=parameters.flag("multi_label", False),
        hypothesis_template=parameters.text("hypothesis_template"),
    )
    found = [_labelled(named, scores) for named, scores in zip(answer.labels, answer.scores, strict=True)]
    return found if is_list else found[0]


async def fill_mask(exchange: Exchange, served: Served) -> Any:
    """`fill-mask`: of a text with one mask its likeliest tokens, of one with several a list for each mask."""
    parameters = _parameters(exchange, allowed=("top_k",))
    texts, is_list = _texts(exchange)
    question = Question(exchange=exchange, served=served, field="inputs")
    answer = await question.ask(AsyncClient.fill_mask, texts, top_k=parameters.whole("top_k", least=1))
    mask = served.pipeline.mask_token
    found = []
    for text, masks in zip(texts, answer.masks, strict=True):
        pieces = text.split(mask)
        filled = [
            [
                {
                    "score": fill.score,
                    "token": fill.token_id,
                    "token_str": fill.token,
                    "sequence": mask.join(pieces[: number + 1]) + fill.token.strip() + mask.join(pieces[number + 1 :]),
                }
                for fill in fills
            ]
            for number, fills in enumerate(masks)
        ]
        found.append(filled[0] if len(filled) == 1 else filled)
    return found if is_list else found[0]


async def answer_question(exchange: Exchange, served: Served) -> Any:
    """`question-answering`: the best span, or a list of `top_k`."""
    allowed = ("top_k", "max_answer_len", "handle_impossible_answer", "doc_stride", "align_to_words")
    parameters = _parameters(exchange, allowed=allowed)
    if not parameters.flag("align_to_words", True):
        raise parameters.wrong("align_to_words", "is false; answers begin and end with words here")
    inputs = exchange.fields.nested("inputs") or Fields({}, inside="inputs")
    top_k = parameters.whole("top_k", least=1) or 1
    question, context = inputs.required_text("question"), inputs.required_text("context")
    asked: dict[str, Any] = {
        "model": served.pipeline.name,
        "top_k": top_k,
        "max_answer_length": parameters.whole("max_answer_len", least=1),
        "overlap": parameters.whole("doc_stride", least=0),
        "no_answer": parameters.flag("handle_impossible_answer", False),
    }
    exchange.about(question, context)
    spans = _spans(await exchange.answer(lambda client, how: client.answer(question, context, **asked, **how)))
    return spans[0] if top_k == 1 and spans else spans


async def generate(exchange: Exchange, served: Served) -> Any:
    """`text2text-generation`, `summarization` and `translation`: of each text what is made of it, under the names of
    all three, since no body says which it asks for."""
    fields = exchange.fields
    if fields.flag("stream", False):
        raise fields.wrong("stream", "is true; texts are streamed at /v1/completions")
    parameters = _parameters(exchange, allowed=(*GENERATED, *NOTHING_ELSE, *INNER, *TRANSLATED))
    for name in NOTHING_ELSE:
        if parameters.flag(name, False):
            raise parameters.wrong(name, "is true, and is not offered")
    texts, _ = _texts(exchange)
    chosen = _generated(parameters)
    for inner in filter(None, map(parameters.nested, INNER)):
        for name in inner:
            if name in inner and name not in GENERATED:
                raise inner.wrong(name, f"is not offered; these are: {', '.join(GENERATED)}")
        chosen |= {name: value for name, value in _generated(inner).items() if value is not None}
    way = parameters.choice("truncation", tuple(TRUNCATIONS))
    question = Question(exchange=exchange, served=served, field="inputs", truncate=TRUNCATIONS[way] if way else None)
    answer = await question.ask(AsyncClient.generate, texts, **_languages(parameters, served), **chosen)
    return [{"generated_text": text, "summary_text": text, "translation_text": text} for text in answer.texts]


GENERATED = (
    "max_new_tokens",
    "min_new_tokens",
    "max_length",
    "min_length",
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
    "seed",
    "stop",
    *SEARCH,
)
"""What `generate` of transformers, or TGI, is told of a text."""

INNER = ("generate_parameters", "generate_kwargs")
"""Objects in which clients tell it that, beside or in place of `parameters` itself."""

NOTHING_ELSE = ("details", "decoder_input_details", "return_full_text", "watermark", "clean_up_tokenization_spaces")
"""What may be false, as it is here."""

TRANSLATED = ("truncation", "src_lang", "tgt_lang")

TRUNCATIONS = {"longest_first": "end", "only_first": "end", "do_not_truncate": "error"}


def _generated(fields: Fields) -> dict[str, Any]:
    """The options of the verb `generate`. Raises Fault."""
    lengths = {}
    for bound, least in (("max", 1), ("min", 0)):
        new, length = fields.whole(f"{bound}_new_tokens", least=least), fields.whole(f"{bound}_length", least=least + 1)
        # Of a decoder transformers counts the token before the first one, too.
        lengths[f"{bound}_new_tokens"] = length - 1 if new is None and length is not None else new
    return {
        **lengths,
        "do_sample": fields.flag("do_sample", False) if "do_sample" in fields else None,
        "temperature": fields.number("temperature"),
        "top_k": fields.whole("top_k", least=0),
        "top_p": fields.number("top_p"),
        "seed": fields.whole("seed", least=0),
        "stop": fields.texts("stop", most=16) if fields.get("stop") else None,
        **search_of(fields),
    }


def _languages(parameters: Fields, served: Served) -> dict[str, str | None]:
    """What asks for a translation between two languages: themselves, where the model knows them, else the name of its
    prompt for them. Raises Fault."""
    source, target = parameters.text("src_lang"), parameters.text("tgt_lang")
    if "target_language" in served.pipeline.option_defaults:
        return {"source_language": source, "target_language": target}
    if source is None and target is None:
        return {"prompt_name": None}
    name = f"translation_{source}_to_{target}"
    if name not in served.pipeline.prompt_names:
        known = [each for each in served.pipeline.prompt_names if each.startswith("translation_")]
        has = f"it has {', '.join(known)}" if known else "it has none for languages"
        raise parameters.wrong("tgt_lang", f"with src_lang asks for a prompt that this model does not have; {has}")
    return {"prompt_name": name}


VECTORS: Mapping[str, Callable[[Exchange], Awaitable[Response]]] = {
    "feature-extraction": vectors.embed_texts,
    "hybrid-embedding": vectors.embed_texts,
    "token-embedding": vectors.embed_all,
    "late-interaction": vectors.embed_all,
    "sparse-embedding": vectors.embed_sparse,
}
"""Tasks whose requests are those of TEI."""

PIPELINES: Mapping[str, Callable[[Exchange, Served], Awaitable[Any]]] = {
    "text-classification": classify_texts,
    "token-classification": classify_tokens,
    "zero-shot-classification": classify_zero_shot,
    "fill-mask": fill_mask,
    "question-answering": answer_question,
    "text2text-generation": generate,
}
"""Tasks whose requests have `inputs` and `parameters`."""


def _parameters(exchange: Exchange, *, allowed: tuple[str, ...]) -> Fields:
    """The options of a request. Raises Fault for one that would change the answer and is not offered."""
    parameters = exchange.fields.nested("parameters") or Fields({}, inside="parameters")
    for name in parameters:
        if name in parameters and name not in allowed:
            raise parameters.wrong(name, f"is not offered; these are: {', '.join(allowed)}")
    return parameters


def _texts(exchange: Exchange) -> tuple[list[str], bool]:
    """The texts of `inputs`, and whether they are a list. Raises Fault."""
    texts = exchange.fields.text_or_texts("inputs", most=exchange.services.config.max_texts)
    return texts, isinstance(exchange.fields.get("inputs"), list)


def _labelled(labels: tuple[str, ...], scores: Any) -> list[dict[str, Any]]:
    return [{"label": label, "score": score} for label, score in zip(labels, scores, strict=True)]


def _entity(key: str, entity: Entity) -> dict[str, Any]:
    place = {"start": entity.start, "end": entity.end}
    return {key: entity.label, "score": entity.score, "word": entity.text, **place}


def _spans(answer: Answers) -> list[dict[str, Any]]:
    return [
        {"answer": span.text, "score": span.score, "start": span.start, "end": span.end} for span in answer.spans[0]
    ]


HUGGINGFACE = Dialect(
    name="huggingface",
    error=error_response,
    routes=(
        Route(method="POST", path="/", endpoint=pipeline),
        Route(method="POST", path="/models/{model}", endpoint=pipeline),
    ),
)
