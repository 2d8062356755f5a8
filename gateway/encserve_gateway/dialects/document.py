"""The OpenAPI document of our own routes, made from the SDK's table of verbs, and of those of others that make texts;
and a page that shows it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from html import escape
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

import encserve
from encserve import AsyncClient, __version__
from encserve._verbs.options import MOST, Option
from encserve._verbs.table import VERBS
from encserve._verbs.verb import Verb
from encserve_gateway.dialects.generation_schemas import completions_operation, model_operation, pipeline_operation
from encserve_gateway.dialects.openai import error_response
from encserve_gateway.dialects.own import OPTIONAL, SINGLE, options_of_verb, path_of
from encserve_gateway.exchange import Exchange
from encserve_gateway.http.response import Response, json_response
from encserve_gateway.routes import Dialect, Route

Schema = dict[str, Any]

_LIST: Schema = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}
_VECTORS: Schema = {
    "type": "array",
    "items": {"type": "array", "items": {"type": "number"}, "minItems": 1},
    "minItems": 1,
}
_PLACES: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2}
_SPANS: Schema = {"type": "array", "items": {"type": "array", "items": _PLACES}, "minItems": 1}
KINDS = {int: "integer", bool: "boolean", str: "string", float: "number"}
ERRORS = {
    "400": "A field is missing, or its value is impossible; the message names it.",
    "401": "The API key is missing, wrong or over.",
    "403": "The API key is not for this model.",
    "404": "There is no such model.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The body is not declared as JSON, or is packed.",
    "429": "The API key asks too often.",
    "500": "The pipeline failed on this request.",
    "503": "There is no room for now, or no pipeline.",
    "504": "There was no answer in time.",
}
HTML = b"text/html; charset=utf-8"


@cache
def document() -> Schema:
    """The OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "encserve gateway",
            "version": __version__,
            "description": "The verbs of encserve over HTTP, and how texts are made for clients of OpenAI and Hugging "
            "Face. The routes of other dialects are those of their services.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            **{path_of(verb): {"post": _verb(verb)} for verb in VERBS.values()},
            "/v1/completions": {"post": completions_operation(_failed())},
            "/models/{model}": {"get": model_operation(_failed()), "post": pipeline_operation(_failed())},
        },
        "components": {
            "schemas": {"Error": _error()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _failed() -> Schema:
    """What is answered where a request is refused, by status."""
    failed = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": about, "content": failed} for status, about in ERRORS.items()}


def _verb(verb: Verb[Any]) -> Schema:
    about = inspect.cleandoc(verb.about)
    return {
        "operationId": verb.name,
        "summary": about.partition("\n")[0],
        "description": about,
        "requestBody": {"required": True, "content": {"application/json": {"schema": request_schema(verb)}}},
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {"application/json": {"schema": response_schema(verb)}},
            },
            **_failed(),
        },
    }


def request_schema(verb: Verb[Any]) -> Schema:
    """The JSON schema of a request: the arguments of a verb and its options, each of which may be null."""
    properties: dict[str, Schema] = {}
    for name, about in verb.arguments.items():
        kind: Schema = {"type": "string"}
        if name not in SINGLE and name != "model":
            kind = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        if name == "documents":
            kind["items"] = {"anyOf": [{"type": "string"}, _VECTORS]}
        properties[name] = {**(_or_null(kind) if name in OPTIONAL else kind), "description": about}
    for name, option in options_of_verb(verb).items():
        of_each: list[Schema] = [_LIST] if option.by_text and option.kind is not tuple else []
        properties[name] = {**_or_null(_option(option), *of_each), "description": option.about}
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in verb.arguments if name not in OPTIONAL],
        "additionalProperties": False,
    }


def _option(option: Option) -> Schema:
    if option.choices:
        return {"type": "string", "enum": list(option.choices)}
    if option.kind is list:
        return _LIST
    if option.kind is tuple:
        return _SPANS
    limits = {"minimum": option.least, "maximum": MOST} if option.kind is int else {}
    return {"type": KINDS[option.kind], **limits}


def _or_null(*schemas: Schema) -> Schema:
    return {"anyOf": [*schemas, {"type": "null"}]}


def response_schema(verb: Verb[Any]) -> Schema:
    """The JSON schema of an answer: the fields of the SDK's result, without those that are None."""
    result = getattr(encserve, str(inspect.signature(getattr(AsyncClient, verb.name)).return_annotation))
    hints = {name: hint for name, hint in get_type_hints(result).items() if name != "start"}
    properties = {name: _schema(hint) for name, hint in hints.items()}
    required = [name for name, hint in hints.items() if get_origin(hint) is not UnionType]
    return {"type": "object", "properties": properties, "required": required}


def _schema(hint: Any) -> Schema:
    """The schema of a field of a result. Arrays of numpy say no shape: they are lists of numbers, or of lists."""
    if hint in KINDS:
        return {"type": KINDS[hint]}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is np.ndarray:
        return {"type": "array"}
    if origin is UnionType:  # with None
        return _schema(arguments[0])
    if origin in (list, tuple):
        return {"type": "array", "items": _schema(arguments[0])}
    properties = {name: _schema(each) for name, each in get_type_hints(hint).items()}  # a dataclass
    return {"type": "object", "properties": properties, "required": list(properties)}


def _error() -> Schema:
    text_or_null = {"type": ["string", "null"]}
    fields = {"message": {"type": "string"}, "type": {"type": "string"}, "param": text_or_null, "code": text_or_null}
    error = {"type": "object", "properties": fields, "required": list(fields)}
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}


@cache
def page() -> bytes:
    """The document as a page that needs nothing else."""
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><title>encserve gateway</title>"]
    parts.append(
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0}:root{color-scheme:light dark}</style>"
    )
    parts.append(f"<h1>encserve gateway {escape(__version__)}</h1><p><a href=openapi.json>OpenAPI document</a></p>")
    for path, methods in document()["paths"].items():
        operation = methods["post"]
        parts.append(f"<h2><code>POST {escape(path)}</code></h2><p>{escape(operation['description'])}</p>")
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        parts.append("<table><tr><th>field<th>kind<th>what it is")
        parts += [_row(name, about, schema["required"]) for name, about in schema["properties"].items()]
        parts.append("</table>")
    return "".join(parts).encode()


def _row(name: str, about: Mapping[str, Any], required: list[str]) -> str:
    kinds = [kind for kind in about.get("anyOf", [about]) if kind.get("type", "null") != "null"]
    shown = " or ".join(str(each) for kind in kinds for each in kind.get("enum", [kind["type"]]))
    needed = ", required" if name in required else ""
    return f"<tr><td><code>{escape(name)}</code><td>{escape(shown)}{needed}<td>{escape(about['description'])}"


async def openapi(exchange: Exchange) -> Response:
    """`GET /openapi.json`."""
    return json_response(document())


async def docs(exchange: Exchange) -> Response:
    """`GET /docs`."""
    return Response([page()], media_type=HTML)


DOCUMENT = Dialect(
    name="document",
    error=error_response,
    routes=(
        Route(method="GET", path="/openapi.json", endpoint=openapi),
        Route(method="GET", path="/docs", endpoint=docs),
    ),
)
