import json

import pytest

from encserve_server.steps.request.options import InvalidArgument, OptionRules

RULES = OptionRules(
    {
        "truncate": {"kind": "choice", "default": "end", "allowed": ["end", "start", "error"]},
        "prompt_name": {"kind": "choice", "default": "query", "allowed": ["", "passage", "query"]},
        "dimensions": {"kind": "whole", "default": None, "least": 1, "most": 384},
        "normalize": {"kind": "flag", "default": True},
        "hypothesis_template": {"kind": "template", "default": "This is {}."},
    }
)
TRAINED = OptionRules({"dimensions": {"kind": "trained", "default": None, "allowed": [64, 128, 384]}})
CANCEL = OptionRules({"cancel": {"kind": "id", "default": None}})
LABELS = OptionRules({"labels": {"kind": "labels", "default": None, "most": 3, "required": True}})


@pytest.mark.parametrize("parameters", ["", "{}"])
def test_nothing_given_is_the_defaults(parameters):
    assert (
        RULES.parse(parameters)
        == RULES.defaults
        == {
            "truncate": "end",
            "prompt_name": "query",
            "dimensions": None,
            "normalize": True,
            "hypothesis_template": "This is {}.",
        }
    )


def test_every_option_can_be_chosen():
    given = {
        "truncate": "start",
        "prompt_name": "",
        "dimensions": 64,
        "normalize": False,
        "hypothesis_template": "{}?",
    }
    assert RULES.parse(json.dumps(given)) == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"truncat": "end"},
            "unknown option 'truncat'; this pipeline knows dimensions, hypothesis_template, normalize, prompt_name, "
            "truncate",
        ),
        ({"truncate": "middle"}, "option truncate is 'middle'; allowed are 'end', 'start', 'error'"),
        ({"truncate": 1}, "option truncate is 1"),
        ({"truncate": ["end"]}, r"option truncate is \['end'\]"),
        ({"prompt_name": "qeury"}, "option prompt_name is 'qeury'; allowed are '', 'passage', 'query'"),
        ({"dimensions": 0}, "option dimensions is 0; it must be a whole number from 1 to 384"),
        ({"dimensions": 385}, "option dimensions is 385"),
        ({"dimensions": -1}, "option dimensions is -1"),
        ({"dimensions": "64"}, "option dimensions is '64'"),
        ({"dimensions": True}, "option dimensions is True"),
        ({"normalize": 1}, "option normalize is 1; it must be true or false"),
        ({"hypothesis_template": "This is."}, "option hypothesis_template is 'This is.'; it must hold {} once"),
    ],
)
def test_a_wrong_option_is_named_with_its_value(given, message):
    with pytest.raises(InvalidArgument, match=f"^{message}"):
        RULES.parse(json.dumps(given))


def test_an_id_is_a_string_that_is_not_empty():
    assert CANCEL.parse('{"cancel": "a-0"}') == {"cancel": "a-0"}
    for wrong in ("", 7, None):
        with pytest.raises(InvalidArgument, match=f"option cancel is {wrong!r}; it must be the id of a request"):
            CANCEL.parse(json.dumps({"cancel": wrong}))


def test_labels_are_a_list_in_json():
    assert LABELS.parse(json.dumps({"labels": '["a", "\u00e9"]'}))["labels"] == ["a", "\u00e9"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "option labels is missing"),
        ({"labels": "a, b"}, "option labels is 'a, b'; it must be a JSON list of strings"),
        ({"labels": '["a", 1]'}, ".* it must be a JSON list of strings"),
        ({"labels": '["a", ""]'}, ".* none of them empty"),
        ({"labels": "[]"}, "option labels has 0 labels; it must have 1 to 3"),
        ({"labels": '["a", "b", "c", "d"]'}, "option labels has 4 labels"),
        ({"labels": '["a", "a"]'}, ".* each label may be there once"),
        ({"labels": "[" * 100_000}, ".* it must be a JSON list of strings"),
        ({"labels": '["a", "\\ud800"]'}, ".* no half of a surrogate pair"),
    ],
)
def test_wrong_labels(given, message):
    with pytest.raises(InvalidArgument, match=f"^{message}"):
        LABELS.parse(json.dumps(given))


def test_a_length_must_be_one_that_the_model_was_trained_for():
    assert TRAINED.parse('{"dimensions": 128}') == {"dimensions": 128}
    for value in ("100", '"64"', "true", "64.0"):
        with pytest.raises(InvalidArgument, match="; the model was trained for 64, 128, 384"):
            TRAINED.parse(f'{{"dimensions": {value}}}')


def test_of_a_long_value_the_beginning_is_named():
    """An error of megabytes does not fit into what gRPC sends one in."""
    for given in ({"truncate": "x" * 10**6}, {"x" * 10**6: 1}, {"hypothesis_template": "x" * 10**6}):
        with pytest.raises(InvalidArgument, match=r"'xxxxxx.*\.\.\.") as refused:
            RULES.parse(json.dumps(given))
        assert len(str(refused.value)) < 400
    with pytest.raises(InvalidArgument) as refused:
        LABELS.parse(json.dumps({"labels": json.dumps(["a" * 10**6] * 2)}))
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a", "option stop is 'a'; it must be a JSON list of strings"),
        ('["a", "b", "c"]', "option stop has 3 strings; 2 are the most$"),
        ('["a", "\\ud800"]', ".* no half of a surrogate pair"),
    ],
)
def test_wrong_strings_at_which_to_stop(given, message):
    rules = OptionRules({"stop": {"kind": "strings", "default": None, "most": 2}})
    with pytest.raises(InvalidArgument, match=f"^{message}"):
        rules.parse(json.dumps({"stop": given}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a secret \ud800", "option prompt must hold characters, and no half of a surrogate pair"),
        ("a secret " * 9, "option prompt has 81 bytes; it may have 20"),
    ],
)
def test_a_text_of_the_caller_is_not_in_the_error(given, message):
    rules = OptionRules({"prompt": {"kind": "text", "default": None, "most": 20}})
    with pytest.raises(InvalidArgument, match=f"^{message}$") as refused:
        rules.parse(json.dumps({"prompt": given}))
    assert "secret" not in str(refused.value)
