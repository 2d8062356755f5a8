"""docs/contract.md says what the verbs are, and the new option of CONTRIBUTING.md is in all that is made of a verb."""

import argparse
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from encserve import Client
from encserve._commands.options import add_options, given_options
from encserve._pipeline import CONTRACT_KEY
from encserve._verbs.table import VERBS
from encserve.testing import FakeTransport, fake_pipeline

from .contract_page import PAGE, tables, with_tables

CONTRIBUTING = Path(__file__).parents[4] / "CONTRIBUTING.md"


def test_the_page_is_that_of_the_verbs(update_golden):
    page = with_tables(PAGE.read_text(encoding="utf-8"), VERBS)
    if update_golden:
        PAGE.write_text(page, encoding="utf-8")
    assert page == PAGE.read_text(encoding="utf-8"), "the verbs have changed; review, then run pytest --update-golden"


def test_the_page_names_the_parameter_of_the_contract():
    assert f"in the parameter `{CONTRACT_KEY}` of the ensemble's configuration" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_the_page_has_every_output_that_is_asked_for(verb):
    (row,) = re.findall(rf"^\| `{verb.task}` \| `text`.*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    dtypes = [option.choices for option in verb.options.values() if option.name == "output_dtype"] or [(None,)]
    for dtype in dtypes[0]:
        outputs = verb.outputs({"output_dtype": dtype} if dtype else {})
        assert [name for name in outputs if f"`{name}`" not in row and name != "window_count"] == []


@pytest.fixture
def with_the_example(monkeypatch, tmp_path):
    """`fill_mask` with the option that CONTRIBUTING.md adds to it."""
    (code,) = re.findall(r"```python\n(.*?class FillMaskOptions.*?)```", CONTRIBUTING.read_text(), re.DOTALL)
    (tmp_path / "edited_fill_mask.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    verb = replace(VERBS["fill_mask"], keywords=import_module("edited_fill_mask").FillMaskOptions)
    monkeypatch.setattr("encserve._client.FILL_MASK", verb)
    return verb


def test_the_example_of_a_new_option(with_the_example):
    """The client checks and sends it, the command has it as a flag, and both and the page explain it by its text."""
    sent = []

    def answer(request):
        sent.append(request.parameters)
        raise InterruptedError

    pipeline = fake_pipeline(task="fill-mask", option_defaults={"top_k": 5})
    with Client(transport=FakeTransport(answer, pipelines=[pipeline])) as client:
        with pytest.raises(InterruptedError):
            client.fill_mask(["a [MASK]"], model="fake", min_characters=3)
        with pytest.raises(ValueError, match="min_characters is 0, expected a positive int"):
            client.fill_mask(["a [MASK]"], model="fake", min_characters=0)
    assert sent == [{"min_characters": 3}]
    parser = argparse.ArgumentParser()
    add_options(parser, with_the_example)
    assert given_options(parser.parse_args(["--min-characters", "3"]), with_the_example) == {"min_characters": 3}
    about = with_the_example.options["min_characters"].about
    assert about in " ".join(with_the_example.documentation().split())
    assert f"| `min_characters` | `fill_mask` | whole numbers from 1 | {about} |" in tables(
        {"fill_mask": with_the_example}
    )
