"""Wrong readings of a checkpoint, each of which the certificate must refuse.

Each stages a pipeline as an export with that very mistake would, and is certified rightly without it. The network runs
in FP32, so that nothing but the mistake can be the reason.
"""

from dataclasses import replace

import pytest

from encserve_export.errors import CertificateFailed
from encserve_server.steps.tokenize.layouts import context_windows, tagged_texts

from .checkpoints import CHECKPOINTS, OPTIONS, PROMPTS
from .mistakes import (
    Mistake,
    cased,
    endless,
    ends_cut_off,
    modules,
    no_for_yes,
    normalised_first,
    options,
    other_frame,
    pooled_before_the_end,
    reaching,
    reversed_pairs,
    seeing_what_follows,
    settings,
    shifted,
    swapped_types,
    template_cut_off,
    tokenizer,
    tokens_turned,
    without_a_layer,
)
from .staged import stage

TOKENS_DIFFER = r"tokens that differ from the \d+ of the library"
MISTAKES = {
    "pooling mode": Mistake("sentences", "cosine_min", modules(pooling="max")),
    "first token in place of the mean": Mistake("sentences", "cosine_min", modules(pooling="cls")),
    "last token in place of the first": Mistake("sentences, cls", "cosine_min", modules(pooling="lasttoken")),
    "first token in place of the last": Mistake("sentences, last token", "cosine_min", modules(pooling="cls")),
    "the token before the end in place of the end": Mistake(
        "sentences, last token", "cosine_min", tamper=pooled_before_the_end
    ),
    "end token lost": Mistake("sentences, last token", "text 0 has no tokens", tamper=tokenizer(endless)),
    "end token lost where a text is cut": Mistake("sentences, last token", TOKENS_DIFFER, tamper=ends_cut_off),
    "tokens that see what follows": Mistake("sentences, last token", "cosine_min", tamper=seeing_what_follows),
    "normalised where it is not": Mistake("sentences, not normalised", "answers_max_abs_diff", modules(normalize=True)),
    "not normalised": Mistake("sentences", "answers_max_abs_diff", modules(normalize=False)),
    "dimensions cut after normalising": Mistake("sentences", "answers_max_abs_diff", tamper=normalised_first),
    "default prompt dropped": Mistake("sentences, prompted", TOKENS_DIFFER, modules(default_prompt_name=None)),
    "another default prompt": Mistake("sentences, prompted", TOKENS_DIFFER, modules(default_prompt_name="other")),
    "a named prompt dropped": Mistake(
        "sentences", "the library {'query'", modules(prompts={"query": PROMPTS["query"]})
    ),
    "lower-casing lost": Mistake("sentences, lower case", TOKENS_DIFFER, tamper=tokenizer(cased)),
    "maximum length": Mistake("sentences", TOKENS_DIFFER, lambda checkpoint: replace(checkpoint, max_length=24)),
    "reach too long": Mistake("positions after padding", "the encode step does not answer .*out of", reaching(66)),
    "reach too short": Mistake(
        "positions after padding", "60 tokens that differ from the 6[1-5] of the library", reaching(60)
    ),
    "truncation side": Mistake("sentences", TOKENS_DIFFER, tamper=options(["tokenize"], truncate="start")),
    "special tokens": Mistake("sentences", TOKENS_DIFFER, tamper=tokenizer(other_frame)),
    "a layer less": Mistake("sentences", "cosine_min", without_a_layer),
    "order of labels": Mistake(
        "labels", "answers_agreement", tamper=settings("head", labels=["größer", "calm", "spam"])
    ),
    "a label renamed": Mistake("labels", "answers_agreement", tamper=settings("head", labels=["calm", "x", "spam"])),
    "sigmoid for softmax": Mistake("labels", "answers_max_abs_diff", tamper=settings("head", activation="sigmoid")),
    "softmax for sigmoid": Mistake(
        "several labels", "answers_max_abs_diff", tamper=settings("head", activation="softmax")
    ),
    "token types swapped": Mistake("pairs", TOKENS_DIFFER, tamper=tokenizer(swapped_types)),
    "order of a pair": Mistake("ranking", TOKENS_DIFFER, tamper=reversed_pairs),
    "end of a template lost where a pair is cut": Mistake("asked in words", TOKENS_DIFFER, tamper=template_cut_off),
    "no in place of yes": Mistake("asked in words", "answers_max_abs_diff", no_for_yes),
    "no activation of scores": Mistake("ranking", "answers_max_abs_diff", tamper=settings("head", activation="none")),
    "aggregation": Mistake("entities", "answers_agreement", tamper=options(["tokenize", "head"], aggregation="none")),
    "offsets shifted by one": Mistake("entities", "answers_agreement", tamper=shifted(tagged_texts, "offsets")),
    "offsets of answers shifted by one": Mistake(
        "spans", "answers_agreement", tamper=shifted(context_windows, "word_offsets")
    ),
    "subwords as words": Mistake("entities", "answers_agreement", tamper=settings("tokenize", marks_subwords=False)),
    "longest answer": Mistake("spans", "answers_", tamper=options(["tokenize", "head"], max_answer_length=2)),
    "answers across words": Mistake(
        "spans", "answers_agreement", tamper=options(["tokenize", "head"], align_to_words=False)
    ),
    "names of tokens": Mistake("masks", "answers_agreement", tamper=tokens_turned),
    "entailment column": Mistake("entailment", "answers_", tamper=settings("head", entailment_column=0)),
    "contradiction column": Mistake(
        "entailment", "answers_max_abs_diff", tamper=settings("head", contradiction_column=1)
    ),
}


@pytest.fixture(scope="module")
def checkpoint_of(tmp_path_factory):
    """The folder of a checkpoint by its name; each is made once, and certified as it is before any mistake counts."""
    made = {}

    def checkpoint(name):
        if name not in made:
            folder = CHECKPOINTS[name](tmp_path_factory.mktemp("checkpoint") / "checkpoint")
            stage(tmp_path_factory.mktemp("right"), folder, **OPTIONS.get(name, {})).certify()
            made[name] = folder
        return made[name]

    return checkpoint


@pytest.mark.parametrize("name", MISTAKES)
def test_a_wrong_reading_is_refused(name, checkpoint_of, tmp_path, monkeypatch):
    mistake = MISTAKES[name]
    staged = stage(tmp_path, checkpoint_of(mistake.of), read=mistake.read, **OPTIONS.get(mistake.of, {}))
    mistake.tamper(staged, monkeypatch)
    with pytest.raises(CertificateFailed, match=mistake.message):
        staged.certify()
