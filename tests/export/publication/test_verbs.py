"""The options of the SDK's verbs are those that an export offers."""

from types import SimpleNamespace

import pytest

from encserve._verbs.table import VERBS
from encserve_export.checkpoint.tasks.table import GENERATION, task_of
from encserve_export.generation import files
from encserve_export.publication.request_options import options_of
from export.generation.greedy import greedy

FAIRSEQ_LANGUAGE_CODES = ("de", "fr")
"""Where the module of a tokenizer of many languages has them."""


class Tokenizer:
    """What is asked of a tokenizer."""

    truncation_side = "right"

    def __len__(self):
        return 384


class OfLanguages(Tokenizer):
    """One that puts the language of a text before it."""

    src_lang = "de"

    def set_src_lang_special_tokens(self, language):
        """What tells such tokenizers from others."""

    def get_vocab(self):
        return {"de": 1, "fr": 2}

    def __call__(self, text):
        return {"input_ids": [1, 3]}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_each_option_of_a_verb_is_offered(verb):
    table = SimpleNamespace(queries_by_default=False)
    modules = SimpleNamespace(
        default_prompt_name=None, prompts={}, normalize=True, token_normalize=True, table=table, pools_by_mean=True
    )
    checkpoint = SimpleNamespace(
        task=task_of(verb.task, pairs=False),
        modules=modules,
        dimensions=384,
        trained_dimensions=(),
        max_length=256,
        tokenizer=OfLanguages() if verb.name == "generate" else Tokenizer(),
        config=SimpleNamespace(model_type="mbart", max_position_embeddings=100, vocab_size=1_000),
        template=None,
        leaves_out_prompts=False,
        adapters=(SimpleNamespace(name="legal"),),
        entities=SimpleNamespace(LABELS_COMPETE=True),
    )
    generates = checkpoint.task is GENERATION
    offered = files.options_of(checkpoint, greedy(top_k=50)) if generates else options_of(checkpoint, calibrated=True)
    if verb.name == "rerank":
        in_words = SimpleNamespace(**vars(checkpoint) | {"template": SimpleNamespace(instructed=("", "", "", ""))})
        offered |= {"instruction": options_of(in_words)["instruction"]}
    if verb.name == "extract_entities":
        as_gliner2 = SimpleNamespace(**vars(checkpoint) | {"entities": SimpleNamespace(LABELS_COMPETE=False)})
        offered |= options_of(as_gliner2)
    for other in verb.also:
        of_another_task = SimpleNamespace(**vars(checkpoint) | {"task": task_of(other.task, pairs=False)})
        offered |= options_of(of_another_task) | offered
        assert other.always.keys() <= options_of(of_another_task).keys()
    for name, option in verb.options.items():
        rule = offered[name]
        if option.choices:
            assert rule["allowed"] == list(option.choices)
        elif option.kind is int:
            assert rule["least"] == option.least
    assert verb.always.keys() <= offered.keys()
