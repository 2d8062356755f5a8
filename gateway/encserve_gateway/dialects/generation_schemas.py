"""What the OpenAPI document says of the routes of others that make texts: OpenAI's completions, and the pipelines of
Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from encserve_gateway.dialects.completions import MOST_STOPS, ONLY
from encserve_gateway.dialects.huggingface import GENERATED, INNER, TRUNCATIONS
from encserve_gateway.http.stream import EVENT_STREAM

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT, "minItems": 1}

EARLY: Schema = {"enum": [True, False, "true", "false", "never"]}

FIELDS: Mapping[str, tuple[list[Schema], str]] = {
    "model": ([TEXT], "Name of the pipeline."),
    "prompt": ([TEXT, TEXTS], "A text, or several, of each of which a text is made; a stream is of one."),
    "max_tokens": ([{"type": "integer", "minimum": 1}], "The most tokens that are made of a text."),
    "min_tokens": ([{"type": "integer", "minimum": 0}], "How many tokens come at least; a field of vLLM."),
    "temperature": (
        [{"type": "number", "minimum": 0}],
        "By what the logits are divided before a token is drawn; at 0 the likeliest is taken. Without it as the "
        "checkpoint says.",
    ),
    "top_p": (
        [{"type": "number", "exclusiveMinimum": 0, "maximum": 1}],
        "Only the likeliest tokens are drawn from that together have this probability.",
    ),
    "top_k": (
        [{"type": "integer", "minimum": -1}],
        "From how many of the likeliest tokens one is drawn, 0 and -1 for all; a field of vLLM.",
    ),
    "seed": ([{"type": "integer", "minimum": 0}], "What the tokens that are drawn depend on."),
    "stop": (
        [TEXT, {"type": "array", "items": {**TEXT, "minLength": 1}, "maxItems": MOST_STOPS}],
        "Strings at which a text ends, before the first of them that comes.",
    ),
    "num_beams": (
        [{"type": "integer", "minimum": 1}],
        "How many hypotheses are followed for each text, without it as many as the checkpoint says. A stream needs 1.",
    ),
    "use_beam_search": (
        [{"type": "boolean"}],
        "As vLLM has it: false is num_beams 1, and with true `best_of` says how many beams there are.",
    ),
    "best_of": ([{"type": "integer", "minimum": 1}], "With `use_beam_search` what `num_beams` is; else 1."),
    "length_penalty": (
        [{"type": "number"}],
        "With beams, by which power of its number of tokens the score of a hypothesis is divided.",
    ),
    "early_stopping": ([EARLY], "With beams, when a text has ended, as in transformers."),
    "repetition_penalty": (
        [{"type": "number", "exclusiveMinimum": 0}],
        "Above 1 it makes tokens less likely that the text has already.",
    ),
    "no_repeat_ngram_size": (
        [{"type": "integer", "minimum": 0}],
        "So many tokens in a row come only once in a text; 0 lets them.",
    ),
    "stream": ([{"type": "boolean"}], "Whether the text is sent as it is made, as server-sent events."),
    "stream_options": (
        [
            {
                "type": "object",
                "properties": {"include_usage": {"anyOf": [{"type": "boolean"}, {"type": "null"}]}},
            }
        ],
        "include_usage: whether a stream ends with the number of its tokens.",
    ),
}
"""Field -> what it may be, beside null, and what it is."""


def completions_operation(failed: Schema) -> Schema:
    """The operation of `POST /v1/completions`; `failed` is what is answered where a request is refused."""
    return {
        "operationId": "completions",
        "summary": "Make texts of prompts, as OpenAI's completions do.",
        "description": "Make texts of prompts, as OpenAI's completions do.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": request_schema()}}},
        "responses": {
            "200": {
                "description": "The texts; with `stream` events, of which each has an answer with what is new of its "
                "text, and the last is [DONE].",
                "content": {
                    "application/json": {"schema": response_schema()},
                    EVENT_STREAM.decode().partition(";")[0]: {},  # OpenAPI 3.1 has no word for what an event holds
                },
            },
            **failed,
        },
    }


def request_schema() -> Schema:
    """The JSON schema of a request. Fields that are not in it are let pass."""
    null: Schema = {"type": "null"}
    properties = {name: {"anyOf": [*kinds, null], "description": about} for name, (kinds, about) in FIELDS.items()}
    properties["prompt"] = {"anyOf": FIELDS["prompt"][0], "description": FIELDS["prompt"][1]}
    for name, only in ONLY.items():
        properties[name] = {"anyOf": [{"enum": [only]}, null], "description": "Nothing else is offered."}
    return {"type": "object", "properties": properties, "required": ["prompt"]}


def response_schema() -> Schema:
    """The JSON schema of an answer that is no stream."""
    choice = {"text": TEXT, "index": {"type": "integer"}, "logprobs": {"type": "null"}}
    choice["finish_reason"] = {"enum": ["stop", "length"]}
    usage: Schema = {name: {"type": "integer"} for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    whole: Schema = {"id": TEXT, "object": {"enum": ["text_completion"]}, "created": {"type": "integer"}}
    whole |= {"model": TEXT, "choices": {"type": "array", "items": _object(choice)}, "usage": _object(usage)}
    return _object(whole)


OPTIONS: Mapping[str, Schema] = {
    **{key: {"type": "integer", "minimum": 0} for key in GENERATED},
    **{key: {"type": "integer", "minimum": 1} for key in ("max_new_tokens", "min_length")},
    "max_length": {"type": "integer", "minimum": 2},
    "num_beams": {"type": "integer", "minimum": 1},
    "length_penalty": {"type": "number"},
    "early_stopping": EARLY,
    "repetition_penalty": {"type": "number", "exclusiveMinimum": 0},
    "do_sample": {"type": "boolean"},
    "temperature": {"type": "number", "exclusiveMinimum": 0},
    "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "stop": {"type": "array", "items": {**TEXT, "minLength": 1}, "maxItems": MOST_STOPS},
}
"""What `generate` of transformers is told, and what each may be."""


MODEL: Schema = {"name": "model", "in": "path", "required": True, "schema": {**TEXT, "minLength": 1}}
"""The parameter in the path."""


def model_operation(failed: Schema) -> Schema:
    """The operation of `GET /models/{model}`."""
    told: Schema = {"type": "object", "description": "As OpenAI's models are described, with more of the pipeline."}
    return {
        "operationId": "model",
        "summary": "Say which model has a name, as OpenAI's models do.",
        "description": "Say which model has a name, as OpenAI's models do.",
        "parameters": [MODEL],
        "responses": {
            "200": {"description": "The model.", "content": {"application/json": {"schema": told}}},
            **failed,
        },
    }


def pipeline_operation(failed: Schema) -> Schema:
    """The operation of `POST /models/{model}` for models that make texts. Its errors are those of TEI."""
    error = {"application/json": {"schema": _object({"error": TEXT, "error_type": TEXT})}}
    parameters = {
        **OPTIONS,
        **{key: {"type": "object", "properties": OPTIONS, "additionalProperties": False} for key in INNER},
        "truncation": {"enum": list(TRUNCATIONS)},
        **dict.fromkeys(("src_lang", "tgt_lang"), TEXT),
    }
    request: Schema = {
        "inputs": {"anyOf": [TEXT, TEXTS], "description": "A text, or several."},
        "parameters": {
            "anyOf": [
                {"type": "object", "properties": parameters, "additionalProperties": False},
                {"type": "null"},
                {"description": "What a model of another task is told: whether it is right depends on that task."},
            ],
            "description": "How texts are made of them. A model that makes texts refuses all that the first form does "
            "not have.",
        },
    }
    named = _object(dict.fromkeys(("generated_text", "summary_text", "translation_text"), TEXT))
    of_others: Schema = {"description": "The answer of a model of another task."}
    about = (
        "Make texts of texts, as text2text-generation, summarization and translation of Hugging Face's pipelines do."
    )
    statuses = {**failed, "422": {"description": failed["400"]["description"]}}
    statuses["424"] = {"description": failed["500"]["description"]}
    return {
        "operationId": "pipeline",
        "summary": about,
        "description": f"{about} Models of other tasks have their own answers here.",
        "parameters": [MODEL],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"type": "object", "properties": request, "required": ["inputs"]}}
            },
        },
        "responses": {
            "200": {
                "description": "Of each text what was made of it, under the names of all three.",
                "content": {"application/json": {"schema": {"anyOf": [{"type": "array", "items": named}, of_others]}}},
            },
            **{status: {"description": each["description"], "content": error} for status, each in statuses.items()},
        },
    }


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}
