import json

import pytest

from encserve_server.models.options import InvalidArgument, OptionRules, Options

DEFAULTS = Options(truncate="end", prompt_name=None, dimensions=None, normalize=True)
RULES = OptionRules(defaults=DEFAULTS, prompt_names=("query", "passage"), dimensions=384)


@pytest.mark.parametrize("parameters", ["", "{}"])
def test_nothing_given_is_the_defaults(parameters):
    assert RULES.parse(parameters) == DEFAULTS


def test_every_option_can_be_chosen():
    given = {"truncate": "start", "prompt_name": "query", "dimensions": 64, "normalize": False}
    assert RULES.parse(json.dumps(given)) == Options(**given)


def test_an_empty_prompt_name_overrides_a_default_prompt():
    rules = OptionRules(defaults=Options("end", "query", None, True), prompt_names=("query",), dimensions=8)
    assert rules.parse("{}").prompt_name == "query"
    assert rules.parse('{"prompt_name": ""}').prompt_name == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"truncat": "end"},
            "unknown option 'truncat'; this pipeline knows dimensions, normalize, prompt_name, truncate",
        ),
        ({"truncate": "middle"}, "option truncate is 'middle'; allowed are end, start, error"),
        ({"truncate": 1}, "option truncate is 1"),
        ({"prompt_name": "qeury"}, "option prompt_name is 'qeury'; the prompts of this checkpoint: query, passage"),
        ({"dimensions": 0}, "option dimensions is 0; it must be a whole number from 1 to 384"),
        ({"dimensions": 385}, "option dimensions is 385"),
        ({"dimensions": -1}, "option dimensions is -1"),
        ({"dimensions": "64"}, "option dimensions is '64'"),
        ({"dimensions": True}, "option dimensions is True"),
        ({"normalize": 1}, "option normalize is 1; it must be true or false"),
    ],
)
def test_a_wrong_option_is_named_with_its_value(given, message):
    with pytest.raises(InvalidArgument, match=f"^{message}"):
        RULES.parse(json.dumps(given))
