"""Prompts that a request writes out, and poolings that leave prompts out, as those of instructor models do."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from encserve_export.errors import CertificateFailed, Unsupported, WayFailed
from encserve_export.publication.request_options import options_of
from export.certificate.staged import stage

from .in_process import answers, load
from .pooled_prompts import pooled

TEXTS = ["The Library of the Town opens at Nine.", "rain", "", "trees and the town " * 30]
WRITTEN = "Represent what is said of a place, for a search: "


@pytest.mark.parametrize(
    "made",
    [
        {},
        {"include": True},
        {"family": "roberta", "mode": "mean_sqrt_len_tokens", "default": "document"},
    ],
)
@pytest.mark.parametrize(
    ("options", "how"),
    [
        ({}, {}),
        ({"prompt_name": "query"}, {"prompt_name": "query"}),
        ({"prompt": WRITTEN}, {"prompt": WRITTEN}),
        ({"prompt": "", "prompt_name": "query"}, {"prompt": ""}),
        ({"prompt": WRITTEN, "prompt_name": "query"}, {"prompt": WRITTEN}),
    ],
)
def test_vectors_are_those_of_sentence_transformers(made, options, how, tmp_path):
    folder = pooled(tmp_path / "checkpoint", **made)
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, **how)
    ours = answers(folder, tmp_path / "steps", options, text=TEXTS)
    np.testing.assert_allclose(ours["embedding"], expected, rtol=0, atol=1e-5)
    assert ours["dropped_count"][3] > 0


def test_what_is_left_out_is_certified(tmp_path):
    folder = pooled(tmp_path / "checkpoint", default="query")
    checkpoint = load(folder)
    assert checkpoint.graph_inputs == ("input_ids", "lengths", "pooling_mask")
    assert load(folder, task="token-embedding").graph_inputs == ("input_ids", "lengths"), "which pools nothing"
    assert options_of(checkpoint)["truncate"]["allowed"] == ["end", "error"], "a prompt stands at the start"
    assert stage(tmp_path / "right", folder).certify()["figures"]["max_abs_diff"]["measured"] < 1e-5

    def with_prompt(checkpoint):
        return replace(checkpoint, modules=replace(checkpoint.modules, pools_prompt=True))

    with pytest.raises((CertificateFailed, WayFailed), match="max_abs_diff"):
        stage(tmp_path / "wrong", folder, read=with_prompt).certify()


def test_a_tokenizer_that_cuts_where_the_prompt_stands(tmp_path):
    folder = pooled(tmp_path)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"truncation_side": "left"}))
    with pytest.raises(Unsupported, match=r"cuts at the start of a text .* where the prompt stands that its pooling"):
        load(folder)
