"""Vectors of spans against the states of the whole text by transformers, averaged over the tokens of each span."""

import json

import numpy as np
import pytest
import torch
import transformers

from encserve_export.checkpoint.tasks.table import stated_task_of
from encserve_server.steps.request.options import InvalidArgument
from export.checkpoints.in_process import answers, load
from export.small_checkpoints import make_checkpoint

ASKED = {"task": "token-embedding"}
POOLED = [("Transformer", "", {"max_seq_length": 60}), ("Pooling", "1_Pooling", {"pooling_mode": "mean"})]
TEXTS = ["The tide was low. Two boats lay on the sand! Nobody came", "Rain.", "caf\u00e9 \u4e2d\u6587\u3002 more"]
SPANS = [[[0, 17], [18, 44], [5, 30], [45, 56]], [[0, 5]], [[0, 4], [0, 7], [8, 12]]]


@pytest.fixture(scope="module", params=["bert", "xlm-roberta"])
def folder(request, tmp_path_factory):
    """Of a tokenizer by words, and of one by bytes."""
    return make_checkpoint(tmp_path_factory.mktemp("spans") / request.param, request.param, modules=POOLED)


def states_of(folder, text):
    """The states of the tokens of a text by transformers, and where each of them stands; special ones are left out."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    told = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
    tokens = tokenizer(text, truncation=True, max_length=60, **told)
    own = ~np.array(tokens["special_tokens_mask"], bool)
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.inference_mode():
        states = model(input_ids=torch.tensor([tokens["input_ids"]])).last_hidden_state[0].numpy()
    return states[own], np.array(tokens["offset_mapping"])[own]


def expected(folder, text, spans):
    """The means over the tokens whose last character stands in a span."""
    states, places = states_of(folder, text)
    last = np.maximum(places[:, 0], places[:, 1] - 1)
    return np.stack([states[(begin <= last) & (last < end)].mean(axis=0) for begin, end in spans])


def parts(answer):
    ends = np.cumsum(answer["span_count"])[:-1]
    return np.split(answer["embedding"], ends), np.split(answer["span_offsets"], ends)


def test_spans_that_are_given(folder, tmp_path):
    answer = answers(folder, tmp_path, {"spans": json.dumps(SPANS)}, text=TEXTS, **ASKED)
    vectors, offsets = parts(answer)
    for text, spans, own, places in zip(TEXTS, SPANS, vectors, offsets, strict=True):
        assert places.tolist() == spans
        np.testing.assert_allclose(own, expected(folder, text, spans), rtol=0, atol=1e-4)


@pytest.mark.parametrize("options", [{"span_by": "sentence"}, {"span_by": "tokens", "span_tokens": 3}])
def test_spans_that_the_pipeline_finds(folder, options, tmp_path):
    answer = answers(folder, tmp_path, options, text=[*TEXTS, ""], **ASKED)
    vectors, offsets = parts(answer)
    for text, own, places in zip(TEXTS, vectors, offsets, strict=False):
        np.testing.assert_allclose(own, expected(folder, text, places.tolist()), rtol=0, atol=1e-4)
    assert answer["span_count"].tolist()[-1] == 0, "of a text without tokens"
    if options["span_by"] == "sentence":
        begin, end = offsets[0][1].tolist()
        assert TEXTS[0][begin:end].strip() == "Two boats lay on the sand!"
        assert len(offsets[0]) == 3


def test_of_a_text_that_is_cut_the_sentences_that_were_seen(folder, tmp_path):
    text = "a b c. " * 40
    answer = answers(folder, tmp_path, {"span_by": "sentence"}, text=[text], **ASKED)
    assert answer["dropped_count"][0] > 0
    (vectors,), (places,) = parts(answer)
    np.testing.assert_allclose(vectors, expected(folder, text, places.tolist()), rtol=0, atol=1e-4)
    with pytest.raises(InvalidArgument, match="span 0 of text 0, from 270 to 274, has no token that the network saw"):
        answers(folder, tmp_path / "beyond", {"spans": "[[[270, 274]]]"}, text=[text], **ASKED)


def test_without_spans_it_gives_vectors_of_tokens(folder, tmp_path):
    answer = answers(folder, tmp_path, text=TEXTS, **ASKED)
    assert len(answer["embedding"]) == answer["token_count"].sum()
    assert answer["span_count"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("pooling", ["cls", "max"])
def test_other_poolings_have_no_spans(pooling, tmp_path):
    modules = [POOLED[0], ("Pooling", "1_Pooling", {"pooling_mode": pooling})]
    folder = make_checkpoint(tmp_path / "checkpoint", modules=modules)
    assert load(folder, **ASKED).task.layout == "tagged_texts"
    with pytest.raises(InvalidArgument, match="unknown option 'span_by'"):
        answers(folder, tmp_path / "asked", {"span_by": "sentence"}, text=TEXTS, **ASKED)


def test_a_manifest_from_before_is_read_as_it_was():
    stated = {"task": "token-embedding", "pairs": False, "option_defaults": {"normalize": False}}
    assert stated_task_of(stated).layout == "tagged_texts"
    stated["option_defaults"]["spans"] = None
    assert stated_task_of(stated).layout == "texts_in_spans"
