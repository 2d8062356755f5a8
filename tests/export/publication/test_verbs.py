"""The options of the SDK's verbs are those that an export offers."""

from types import SimpleNamespace

import pytest

from encserve._verbs.table import VERBS
from encserve_export.checkpoint.tasks.table import TASKS
from encserve_export.publication.request_options import options_of


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_each_option_of_a_verb_is_offered(verb):
    modules = SimpleNamespace(default_prompt_name=None, prompts={}, normalize=True, token_normalize=True)
    checkpoint = SimpleNamespace(
        task=TASKS[verb.task],
        modules=modules,
        dimensions=384,
        trained_dimensions=(),
        max_length=256,
        tokenizer=SimpleNamespace(truncation_side="right"),
        template=None,
    )
    offered = options_of(checkpoint)
    if verb.name == "rerank":
        in_words = SimpleNamespace(**vars(checkpoint) | {"template": SimpleNamespace(instructed=("", "", "", ""))})
        offered |= {"instruction": options_of(in_words)["instruction"]}
    for name, option in verb.options.items():
        rule = offered[name]
        if option.choices:
            assert rule["allowed"] == list(option.choices)
        elif option.kind is int:
            assert rule["least"] == option.least
    assert verb.always.keys() <= offered.keys()
