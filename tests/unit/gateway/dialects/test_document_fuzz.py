"""Whatever the OpenAPI document allows is answered as it says, and what it does not allow is refused: bodies out of its
own schemas, by hypothesis. `make soak` has schemathesis do the same over a socket."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from unit.gateway.asgi import JSON, ask
from unit.gateway.pipelines import Fake

from encserve._verbs.table import VERBS
from encserve_gateway.dialects.document import document, request_schema
from encserve_gateway.dialects.own import path_of

QUICK = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)


def of_schema(schema):
    """Values that a schema of ours allows."""
    if not schema.keys() - {"description"}:
        return ANYTHING
    if "anyOf" in schema:
        return st.one_of(*map(of_schema, schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "string":
            return WORDS
        case "integer":
            return st.integers(schema.get("minimum", -5), 50)
        case "number":
            least = schema.get("minimum", schema.get("exclusiveMinimum"))
            return st.floats(least, schema.get("maximum"), allow_nan=False, allow_infinity=False)
        case "array":
            return st.lists(of_schema(schema["items"]), min_size=schema.get("minItems", 0), max_size=4)
        case "object":
            needed = {name: of_schema(schema["properties"][name]) for name in schema.get("required", [])}
            others = {name: of_schema(each) for name, each in schema["properties"].items() if name not in needed}
            return st.fixed_dictionaries(needed, optional=others)
    raise AssertionError(schema)


def validators(name):
    """Of a verb's route: of its request, and of its answers by status."""
    operation = document()["paths"][path_of(VERBS[name])]["post"]
    answers = {}
    for status, about in operation["responses"].items():
        schema = about["content"]["application/json"]["schema"]
        answers[status] = Draft202012Validator({**schema, "components": document()["components"]})
    return Draft202012Validator(request_schema(VERBS[name])), answers


def asked(name, body):
    """The answer, which has one of the forms of the document."""
    answered = asyncio.run(
        ask(Fake().gateway, "POST", path_of(VERBS[name]), body=json.dumps(body).encode(), headers=JSON)
    )
    _, answers = validators(name)
    assert answered.status != 500, (body, answered.body)
    assert str(answered.status) in answers, (body, answered.body)
    answers[str(answered.status)].validate(answered.json)
    return answered


@pytest.mark.parametrize("name", sorted(VERBS))
def test_what_the_document_allows_is_answered_as_it_says(name):
    statuses = set()

    @QUICK
    @given(of_schema(request_schema(VERBS[name])))
    def check(body):
        statuses.add(asked(name, body).status)

    check()
    assert statuses <= {200, 400, 404}  # 400: more dimensions than there are, a prompt that there is not
    assert 404 in statuses or "model" not in VERBS[name].arguments


FOREIGN = [
    ("/v1/completions", "/v1/completions"),
    ("/models/{model}", "/models/generate"),
    ("/models/{model}", "/models/embed"),
]
"""Routes of others in the document, and where they are asked."""


def posted(path, where, body):
    """The answer at a route of others, which has one of the forms of the document."""
    answered = asyncio.run(ask(Fake().gateway, "POST", where, body=json.dumps(body).encode(), headers=JSON))
    about = document()["paths"][path]["post"]["responses"].get(str(answered.status))
    assert about is not None, (body, answered.body)
    assert answered.status != 500, (body, answered.body)
    kind = answered.headers["content-type"].partition(";")[0]
    if kind == "application/json":
        schema = about["content"][kind]["schema"]
        Draft202012Validator({**schema, "components": document()["components"]}).validate(answered.json)
    else:
        assert (kind, answered.body[-14:]) == ("text/event-stream", b"data: [DONE]\n\n")
        assert kind in about["content"]
    return answered


@pytest.mark.parametrize(("path", "where"), FOREIGN)
def test_what_the_document_allows_of_others_is_answered_as_it_says(path, where):
    statuses = set()

    @QUICK
    @given(of_schema(document()["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]))
    def check(body):
        statuses.add(posted(path, where, body).status)

    check()
    assert 200 in statuses
    assert statuses <= {200, 400, 404, 422}


@pytest.mark.parametrize(("path", "where"), FOREIGN)
def test_what_it_does_not_allow_of_others_is_refused(path, where):
    schema = document()["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    request = Draft202012Validator(schema)

    @QUICK
    @given(of_schema(schema), st.sampled_from([*schema["properties"]]), ANYTHING)
    def check(body, field, value):
        wrong = body | {field: value}
        assume(not request.is_valid(wrong))
        assert posted(path, where, wrong).status in (400, 404, 422)

    check()


@pytest.mark.parametrize("name", sorted(VERBS))
def test_what_it_does_not_allow_is_refused(name):
    request, _ = validators(name)
    fields = request_schema(VERBS[name])["properties"]

    @QUICK
    @given(of_schema(request_schema(VERBS[name])), st.sampled_from([*fields, "unknown"]), ANYTHING)
    def check(body, field, value):
        wrong = body | {field: value}
        assume(not request.is_valid(wrong))
        assert asked(name, wrong).status == 400

    check()
