"""What published checkpoints are served as: the page of the documentation is what loading them says."""

import json
import re

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig
from encserve_export.errors import Unsupported
from export.families.checkpoints import write_checkpoint
from export.test_inspect import said

from .folders import PUBLISHED, write_folder
from .table import FILE, text


def test_the_page_is_what_loading_says(tmp_path, update_golden):
    transformers.utils.logging.set_verbosity_error()
    page = text(PUBLISHED, tmp_path)
    if update_golden:
        FILE.write_text(page, encoding="utf-8")
    assert page == FILE.read_text(encoding="utf-8"), (
        "other checkpoints are served than before; review, then run pytest --update-golden"
    )


def test_each_is_there_once_and_says_whether_it_was_seen():
    ids = [each["id"] for each in PUBLISHED]
    assert len(set(ids)) == len(ids) >= 80
    assert {each["seen"] for each in PUBLISHED} == {True, False}
    assert all(each["config"] or "modules" in each or "files" in each for each in PUBLISHED)


def test_inspect_says_of_a_folder_what_the_page_says(tmp_path, capsys):
    (published,) = (each for each in PUBLISHED if each["id"].endswith("/bge-large-en-v1.5"))
    found = said(capsys, write_folder(tmp_path / "bge", published), "--no-weights")
    row = next(line for line in FILE.read_text(encoding="utf-8").splitlines() if published["id"] in line)
    assert f"| {found['task']} | {found['family']} | {found['dimensions']}, {found['pooling']}, normalised |" in row


def row_of(name):
    (line,) = (each for each in FILE.read_text(encoding="utf-8").splitlines() if each.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(
    ("name", "vectors"),
    [
        ("sentence-transformers/distiluse-base-multilingual-cased-v2", "512, mean"),
        ("google/embeddinggemma-300m", "768, mean, normalised"),
        ("jinaai/jina-embeddings-v3", "1024, mean, normalised"),
    ],
)
def test_vectors_have_the_width_of_the_last_layer(name, vectors):
    assert row_of(name)[4] == vectors


def test_a_layer_without_a_stated_width_is_refused(tmp_path):
    published = PUBLISHED[0] | {"modules": ["Transformer", "Pooling-mean", "Dense-Tanh"]}
    with pytest.raises(ValueError, match=r"all-MiniLM-L6-v2: Dense-Tanh says no width"):
        write_folder(tmp_path / "folder", published)


@pytest.mark.parametrize(
    ("name", "proof"),
    [
        ("sentence-transformers/all-MiniLM-L6-v2", r"[\de-]+"),
        ("intfloat/multilingual-e5-small", r"[\de-]+, other tokenizer"),
        ("jinaai/jina-embeddings-v2-base-en", "published code, written down again: `tests/export/foreign`"),
        (
            "Alibaba-NLP/gte-base-en-v1.5",
            r".*, other tokenizer; published code, written down again: `tests/.*/foreign`",
        ),
        ("jinaai/jina-embeddings-v3", r"[\de-]+; its tasks: `tests/export/adapters`"),
        ("hkunlp/instructor-base", r"[\de-]+; prompts that are not pooled: `tests/export/checkpoints`"),
    ],
)
def test_a_proof_is_no_more_than_what_was_compared(name, proof):
    assert re.fullmatch(proof, row_of(name)[6])


def test_weights_in_the_layout_of_other_code_are_refused_where_they_are_read(tmp_path):
    """Of jina-reranker-v2-base-multilingual: queries, keys and values in one matrix."""
    network = transformers.AutoModelForSequenceClassification
    folder = write_checkpoint(tmp_path, "xlm-roberta", network=network, num_labels=1, num_hidden_layers=1)
    (published,) = (each for each in PUBLISHED if "weights" in each)
    stated = json.loads((folder / "config.json").read_text()) | {"auto_map": published["config"]["auto_map"]}
    (folder / "config.json").write_text(json.dumps(stated))
    tensors = load_file(folder / "model.safetensors")
    layer = "roberta.encoder.layer.0.attention.self"
    for kind in ("weight", "bias"):
        apart = [tensors.pop(f"{layer}.{name}.{kind}") for name in ("query", "key", "value")]
        tensors[f"roberta.encoder.layers.0.mixer.Wqkv.{kind}"] = torch.cat(apart)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    asked = ExportConfig(checkpoint=str(folder), name="tiny", task="text-ranking")
    assert load_checkpoint(asked, weights=False).task.name == "text-ranking"
    with pytest.raises(Unsupported, match=r"code of its own, which is not run, and its weights do not fit XLMRoberta"):
        load_checkpoint(asked)
