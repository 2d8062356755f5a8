"""The door counts of a request what the network will see of it; drift counts the texts that were asked about."""

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

from encserve_server.steps.tokenize.tokenization import Tokenization

WORDS = ["[CLS]", "[SEP]", "[UNK]", "a", "b"]
LIMITS = {
    "max_length": 40,
    "max_texts_per_request": 12,
    "max_tokens_per_request": 4_000,
    "max_bytes_per_text": 4_000,
}
LABELS = {"labels": ["a", "b", "a b"], "hypothesis_template": "это {}"}


@pytest.fixture
def door(step):
    """(layout, options, inputs) -> the request as it waits, and the scripts of texts as they are counted for drift."""
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken("[MASK]", special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )

    def door(layout, options, **inputs):
        from encserve_server.steps.tokenize.step import Asked

        settings = {"layout": layout, "limits": LIMITS, "tensors": [], "prompts": {}, "marks_subwords": False}
        masks = {"mask_token": "[MASK]", "mask_id": len(WORDS)}
        step._tokenization = Tokenization(tokenizer, {**settings, **(masks if layout == "masked_texts" else {})})
        step._max_length = LIMITS["max_length"]
        options = {"truncate": "end", "lane": "bulk", **options}
        raw = {name: [text.encode() for text in texts] for name, texts in inputs.items()}
        call = type("Call", (), {"id": "", "timeout_s": 0.0, "arrived_s": 0.0, "trace": None, "health_token": ""})
        asked = Asked(call, step._tokenization.read(raw, options), options)
        (tensors,) = step._tokenization.tokenize([(asked.groups, options)])
        step._count_texts([asked], [tensors])
        step._metrics.tell(pytest.fail)
        scripts = {dict(key)["script"]: metric.value() for key, metric in step._texts._scripts._metrics.items()}
        return step._queued_request(asked), {script: count for script, count in scripts.items() if count}

    return door


def test_a_text_costs_a_row_for_each_of_its_labels_and_is_one_text_whatever_they_are(door):
    waits, scripts = door("hypotheses", LABELS, text=["a " * 8, "a " * 200])
    assert waits.texts == 2 * 3
    assert waits.tokens == 3 * (6 + 3) + 3 * 40, "at most max_length each"
    assert waits.size == 16 + 400 + 8 + 8 + 10, "each text and each hypothesis once, as they are kept"
    assert scripts == {"Latin": 2}, "hypotheses are Cyrillic"


@pytest.mark.parametrize("layout", ["text_pairs", "context_windows"])
def test_a_text_that_many_pairs_share_costs_its_tokens_in_each(door, layout):
    options = {"overlap": 4} if layout == "context_windows" else {}
    waits, scripts = door(layout, options, text=["b " * 10], text_pair=["a " * 8, "a " * 4, "a b"])
    assert waits.texts == 3
    assert waits.tokens == 3 * 7 + 6 + 4 + 2
    assert waits.size == 20 + 16 + 8 + 3, "and is kept once"
    assert scripts == {"Latin": 4}


def test_a_text_that_is_scored_costs_a_copy_for_each_token(door):
    waits, _ = door("masked_texts", {"score_texts": True}, text=["a " * 8])
    assert (waits.texts, waits.tokens, waits.size) == (6, 6 * 6, 16)
    waits, _ = door("masked_texts", {"score_texts": False}, text=["a [MASK] " * 8])
    assert waits.texts == 1


def test_no_more_copies_are_counted_than_a_request_may_have(door):
    waits, _ = door("masked_texts", {"score_texts": True}, text=["a " * 1_000])
    assert waits.texts == LIMITS["max_texts_per_request"]
