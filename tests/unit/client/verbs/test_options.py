"""Options as data: what is read from the TypedDicts, and what calls, documentation and flags make of it."""

import inspect
from typing import Annotated, Literal, TypedDict

import pytest

from encserve import Client, InvalidInput
from encserve._verbs import options
from encserve._verbs.embedding.embed import EMBED
from encserve._verbs.options import CallOptions, options_of
from encserve._verbs.table import VERBS
from encserve.testing import FakeTransport


class Keywords(TypedDict, total=False):
    side: Literal["left", "right"] | None
    """Which side."""
    count: int | None
    """How many."""
    shared: Annotated[int | None, 0]
    """How many both have."""
    loud: bool | None
    """Whether it is heard."""
    name: str | None
    """What it is called."""


@pytest.mark.parametrize(
    ("name", "good", "bad", "message"),
    [
        ("side", "left", "top", "side is 'top', expected one of 'left', 'right'"),
        ("count", 1, 0, "count is 0, expected a positive int"),
        ("count", 7, True, "count is True, expected a positive int"),
        ("shared", 0, -1, "shared is -1, expected an int of 0 or more"),
        (
            "count",
            2**63 - 1,
            2**63,
            "count is 9223372036854775808, expected a positive int, at most 9223372036854775807",
        ),
        ("loud", False, 1, "loud is 1, expected a bool"),
        ("name", "", 3, "name is 3, expected a str"),
    ],
)
def test_a_type_is_a_check(name, good, bad, message):
    option = options_of(Keywords)[name]
    assert option.checked(good) == good
    with pytest.raises(InvalidInput, match=message):
        option.checked(bad)


def test_the_text_under_an_option_says_what_it_does():
    assert options_of(Keywords)["shared"].about == "How many both have."


def test_without_its_source_an_option_works_and_says_nothing(monkeypatch):
    def compiled_only(module):
        raise OSError("could not get source code")

    monkeypatch.setattr(inspect, "getsource", compiled_only)
    for cached in (options._docstrings, options_of):
        monkeypatch.setattr(options, cached.__name__, cached.__wrapped__)
    assert (options.options_of(Keywords)["count"].about, options.options_of(Keywords)["count"].checked(2)) == ("", 2)


def test_only_given_options_are_sent():
    assert EMBED.given({}) == {}
    assert EMBED.given({"normalize": False, "prompt_name": "", "dimensions": None, "timeout_s": 3.0}) == {
        "normalize": False,
        "prompt_name": "",
    }


def test_an_unknown_keyword_is_a_type_error():
    with (
        Client(transport=FakeTransport(lambda request: {})) as client,
        pytest.raises(TypeError, match=r"embed\(\) got an unexpected keyword argument 'trunkate'"),
    ):
        client.embed(["a"], model="fake", trunkate="end")


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_every_argument_of_a_method_is_documented(verb):
    method = getattr(Client, verb.name)
    documentation = inspect.getdoc(method)
    own = [name for name in inspect.signature(method).parameters if name not in ("self", "options")]
    assert own == list(verb.arguments) or set(own) == set(verb.arguments)
    for name in (*own, *options_of(verb.keywords)):
        assert f"\n    {name}: " in documentation, name
    assert all(len(line) <= 120 for line in documentation.splitlines())
    assert options_of(CallOptions).keys() <= options_of(verb.keywords).keys()


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_documentation_is_full_sentences(verb):
    texts = [verb.about.strip(), *verb.arguments.values(), *(each.about for each in options_of(verb.keywords).values())]
    for text in texts:
        assert text[0].isupper() or text[0] == '"', text
        assert text.endswith("."), text
