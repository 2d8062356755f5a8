"""Layouts of which a part used to be dropped without a word: each is served as its library serves it, or refused by
name."""

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer, SparseEncoder

from encserve_export.errors import CheckpointError, Unsupported

from . import misread_layouts
from .in_process import answers, load
from .misread_layouts import OLDER_SETTINGS, PROMPTS, change_json

TEXTS = [
    "The Library of the Town opens at Nine",
    "rain",
    "Of all the trees in the garden only the oldest one had lost its leaves before the first night of frost, and "
    "nobody who lived in the house could say why that was so",
]
QUERY = "When does the Library open?"


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_the_projection_of_a_colbert_without_its_name_is_refused(tmp_path):
    folder = misread_layouts.stanford_colbert(tmp_path)
    change_json(folder / "config.json", architectures=["BertModel"])
    with pytest.raises(
        Unsupported, match=r"1 tensors that neither BertModel nor another head .* such as linear\.weight"
    ):
        load(folder, task="token-embedding")


@pytest.mark.parametrize("file", OLDER_SETTINGS)
def test_settings_in_a_file_of_an_older_name(file, tmp_path):
    folder = misread_layouts.older_settings(tmp_path / "checkpoint", file)
    ours = answers(folder, tmp_path, text=TEXTS)
    close(ours["embedding"], SentenceTransformer(str(folder), device="cpu").encode(TEXTS))
    assert ours["token_count"].max() == 16


def test_a_layer_on_tokens_comes_before_the_pooling(tmp_path):
    folder = misread_layouts.dense_on_tokens(tmp_path)
    theirs = SentenceTransformer(str(folder), device="cpu")
    close(answers(folder, tmp_path, text=TEXTS)["embedding"], theirs.encode(TEXTS))


def test_vectors_of_tokens_have_the_layers_on_tokens_only(tmp_path):
    folder = misread_layouts.dense_on_tokens(tmp_path)
    theirs = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, output_value="token_embeddings")
    ours = answers(folder, tmp_path, text=TEXTS, task="token-embedding")
    close(ours["embedding"], torch.cat(theirs))


def test_a_multi_vector_encoder_gives_a_vector_for_each_token(tmp_path):
    folder = misread_layouts.late_interaction(tmp_path)
    assert load(folder).task.name == "late-interaction"
    theirs = MultiVectorEncoder(str(folder), device="cpu").encode_document(TEXTS)
    close(answers(folder, tmp_path, text=TEXTS)["embedding"], np.concatenate(theirs))
    with pytest.raises(Unsupported, match="which feature-extraction does not offer; --task late-interaction serves it"):
        load(folder, task="feature-extraction")


@pytest.mark.parametrize("name", [None, "document", ""])
def test_the_prompt_of_a_cross_encoder(name, tmp_path):
    folder = misread_layouts.prompted_ranker(tmp_path)
    asked = {} if name is None else {"prompt_name": name}
    theirs = CrossEncoder(str(folder), device="cpu").predict(
        [(QUERY, text) for text in TEXTS], **({"prompt": ""} if name == "" else asked)
    )
    ours = answers(folder, tmp_path, asked, text=[QUERY], text_pair=TEXTS)
    order = np.argsort(-theirs, kind="stable")
    assert ours["index"].tolist() == order.tolist()
    close(ours["score"], theirs[order])


@pytest.mark.parametrize("name", [None, "document", ""])
def test_the_prompt_of_a_sparse_encoder(name, tmp_path):
    folder = misread_layouts.prompted_sparse_encoder(tmp_path)
    asked = {} if name is None else {"prompt_name": name}
    theirs = SparseEncoder(str(folder), device="cpu").encode(TEXTS, **({"prompt": ""} if name == "" else asked))
    ours, row = answers(folder, tmp_path, asked, text=TEXTS), 0
    for count, expected in zip(ours["term_count"], theirs.to_dense().numpy(), strict=True):
        found = np.zeros_like(expected)
        found[ours["token_id"][row : row + count]] = ours["weight"][row : row + count]
        close(found, expected)
        row += count


def test_a_prompt_that_a_task_does_not_offer(tmp_path):
    with pytest.raises(
        Unsupported, match="puts its prompt 'query' before each text, which text-classification does not"
    ):
        load(misread_layouts.prompted_ranker(tmp_path), task="text-classification", pairs=True)


def test_a_default_prompt_without_text_is_none(tmp_path):
    folder = misread_layouts.prompted_sparse_encoder(tmp_path)
    change_json(folder / "config_sentence_transformers.json", prompts={**PROMPTS, "query": ""})
    assert load(folder).modules.default_prompt_name is None


@pytest.mark.parametrize("kind", ["relative_key", "relative_key_query"])
def test_relative_positions_of_bert_are_refused(kind, tmp_path):
    folder = misread_layouts.relative_positions(tmp_path, kind)
    with pytest.raises(
        Unsupported,
        match=f"states 'position_embedding_type': '{kind}', which is not supported; supported is 'absolute'",
    ):
        load(folder)
    change_json(folder / "config.json", position_embedding_type="absolute")
    with pytest.raises(Unsupported, match=r"2 tensors that neither .* such as .*\.0\..*distance_embedding\.weight"):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rotary_emb_base": 10000}, "states 'rotary_emb_base': 10000, .*; supported is 1000"),
        ({"rotary_scaling_factor": 2}, "states 'rotary_scaling_factor': 2, .*; supported is None"),
        ({"moe_every_n_layers": 2}, "states 'activation_function': 'swiglu' beside experts"),
        ({"n_embd": 64}, "states 'n_embd': 64, .*; supported is 32"),
        ({"activation_function": "geglu"}, "states 'activation_function': 'geglu', .*; supported is 'swiglu'"),
        ({"prenorm": True}, "states 'prenorm': True, .*; supported is False"),
    ],
)
def test_what_the_first_nomic_bert_said_must_hold_for_that_of_transformers(changes, named, tmp_path):
    assert load(misread_layouts.original_nomic(tmp_path / "as_transformers")).max_length
    with pytest.raises(Unsupported, match=named):
        load(misread_layouts.original_nomic(tmp_path / "other", **changes))


def test_the_length_at_which_processing_cuts(tmp_path):
    folder = misread_layouts.truncated_pairs(tmp_path)
    theirs = CrossEncoder(str(folder), device="cpu").predict([(QUERY, text) for text in TEXTS])
    ours = answers(folder, tmp_path, text=[QUERY], text_pair=TEXTS)
    assert ours["token_count"].max() == 12
    close(ours["score"], np.sort(theirs)[::-1])
    settings = folder / "sentence_bert_config.json"
    for other in ({"text": {"truncation": "only_second"}}, {"chat_template": {"x": 1}}, {"common": {"stride": 1}}):
        change_json(settings, processing_kwargs=other)
        with pytest.raises(Unsupported, match=r"sentence_bert_config\.json states '\w+': .* which is not supported"):
            load(folder)


def test_a_pickle_of_a_layer_is_refused_unless_allowed(tmp_path):
    folder = misread_layouts.dense_on_tokens(tmp_path)
    theirs = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    layer = SentenceTransformer(str(folder), device="cpu")[1]
    torch.save(layer.state_dict(), folder / "1_Dense/pytorch_model.bin")
    (folder / "1_Dense/model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"weights of .*1_Dense are a pickle, .* give --allow-pickle"):
        load(folder)
    close(answers(folder, tmp_path, text=TEXTS, allow_pickle=True)["embedding"], theirs)
    torch.save({"linear": layer}, folder / "1_Dense/pytorch_model.bin")
    with pytest.raises(CheckpointError, match="cannot be read as tensors alone"):
        load(folder, allow_pickle=True)
