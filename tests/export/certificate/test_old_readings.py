"""Layouts of checkpoints that encserve used to read wrongly, read as it used to: each is refused by the certificate.

Three cannot be: the projection of a Stanford ColBERT, relative positions of BERT, and what the first configurations of
Nomic BERT say are dropped by transformers as well, so that the library's answers are as wrong. They are refused when
the checkpoint is read, by tensors and keys that nobody reads (`tests/export/checkpoints/test_misread_layouts.py`); the
last test here shows that the certificate of each would hold.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from encserve_export.checkpoint import configuration, weights
from encserve_export.checkpoint.sentence import transformer_settings
from encserve_export.checkpoint.sentence.modules import SentenceModules
from encserve_export.checkpoint.tasks.table import task_of
from encserve_export.errors import CertificateFailed, Unsupported

from ..checkpoints import misread_layouts  # noqa: TID252
from .mistakes import modules
from .staged import stage


@dataclass(frozen=True)
class OldReading:
    """What encserve used to make of a layout."""

    layout: Callable[..., Any]
    message: str
    """What the refusal must say."""
    read: Callable[..., Any] = lambda checkpoint: checkpoint
    patch: tuple[str, Any] | None = None
    """An attribute of the module that reads the settings of a Transformer, as it was."""


def dense_after_pooling(checkpoint):
    own = checkpoint.modules
    return replace(checkpoint, modules=replace(own, token_dense=(), dense=own.token_dense))


def one_mean_vector(checkpoint):
    """A multi-vector encoder taken for a sentence-transformer."""
    own = checkpoint.modules
    read = SentenceModules(dense=own.token_dense, normalize=True, transformer=own.transformer)
    return replace(checkpoint, task=task_of("feature-extraction", pairs=False), modules=read)


UNPROMPTED = modules(prompts={}, default_prompt_name=None)
TOKENS_DIFFER = r"tokens that differ from the \d+ of the library"
OLD_READINGS = {
    "settings of an older name unread": OldReading(
        misread_layouts.older_settings, TOKENS_DIFFER, patch=("_FILES", ("sentence_bert_config.json",))
    ),
    "layer on tokens after the pooling": OldReading(misread_layouts.dense_on_tokens, "cosine_min", dense_after_pooling),
    "one vector for all tokens": OldReading(misread_layouts.late_interaction, "cosine_min", one_mean_vector),
    "prompts of a cross-encoder": OldReading(
        misread_layouts.prompted_ranker, r"the pipeline has the prompts \{\}", UNPROMPTED
    ),
    "default prompt of a cross-encoder": OldReading(
        misread_layouts.prompted_ranker, TOKENS_DIFFER, modules(default_prompt_name=None)
    ),
    "prompts of a sparse encoder": OldReading(
        misread_layouts.prompted_sparse_encoder, r"the pipeline has the prompts \{\}", UNPROMPTED
    ),
    "default prompt of a sparse encoder": OldReading(
        misread_layouts.prompted_sparse_encoder, TOKENS_DIFFER, modules(default_prompt_name=None)
    ),
    "settings of the processing unread": OldReading(
        misread_layouts.truncated_pairs, TOKENS_DIFFER, patch=("_processed_length", lambda file, stated: None)
    ),
}


@pytest.fixture(scope="module")
def checkpoint_of(tmp_path_factory):
    """The folder of a checkpoint in a layout; each is made once, and certified as it is read today."""
    made = {}

    def checkpoint(layout):
        if layout not in made:
            made[layout] = layout(tmp_path_factory.mktemp("checkpoint"))
            stage(tmp_path_factory.mktemp("right"), made[layout]).certify()
        return made[layout]

    return checkpoint


@pytest.mark.parametrize("name", OLD_READINGS)
def test_an_old_reading_is_refused(name, checkpoint_of, tmp_path, monkeypatch):
    old = OLD_READINGS[name]
    folder = checkpoint_of(old.layout)
    if old.patch:
        monkeypatch.setattr(transformer_settings, *old.patch)
    staged = stage(tmp_path, folder, read=old.read)
    with pytest.raises(CertificateFailed, match=old.message):
        staged.certify()


def other_rotation(folder):
    return misread_layouts.original_nomic(folder, rotary_emb_base=10_000)


@pytest.mark.parametrize(
    ("layout", "task", "named"),
    [
        (misread_layouts.relative_positions, None, "position_embedding_type"),
        (other_rotation, "feature-extraction", "rotary_emb_base"),
    ],
)
def test_what_transformers_drops_too_is_refused_before_a_certificate_that_would_hold(
    layout, task, named, tmp_path, monkeypatch
):
    folder = layout(tmp_path / "checkpoint")
    with pytest.raises(Unsupported, match=named):
        stage(tmp_path / "as it is", folder, task=task)
    monkeypatch.setattr(configuration, "_check_keys", lambda *_: None)
    monkeypatch.setattr(weights, "unread_tensors", lambda *_: [])
    parity = stage(tmp_path / "unchecked", folder, task=task).certify()
    assert parity["figures"]["max_abs_diff"]["measured"] < 1e-5
