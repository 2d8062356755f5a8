"""What `gliner_config.json` says of a GLiNER checkpoint, of which no key is passed over in silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encserve_export.checkpoint.unread.checking import check_keys
from encserve_export.checkpoint.unread.keys import Unread
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.json_file import read_needed_object

from .unserved import unserved

GLINER = "gliner_config.json"
ENTITIES = "zero-shot-token-classification"
"""The task of such checkpoints: entities of labels that a request brings. transformers has no name for it."""
SPANS = "markerV0"
"""The `span_mode` of networks that give each span of words a score for each label."""
WORDS = "token_level"
"""That of networks that give each word three: how likely an entity of the label begins there, ends there, and has the
word in it."""

_READ = (
    *("model_type", "model_name", "encoder_config", "hidden_size", "span_mode", "max_width", "max_len"),
    *("num_rnn_layers", "class_token_index", "vocab_size", "ent_token", "sep_token", "embed_ent_token"),
)
_NAMES = ("name", "_name_or_path", "transformers_version", "torch_dtype", "dtype", "architectures", "is_composition")
_TRAINING = (
    *("dropout", "fine_tune", "max_types", "max_neg_type_ratio", "shuffle_types", "random_drop", "size_sup"),
    *("lr_*", "num_steps", "*_steps", "warmup_*", "*batch_size", "eval_*", "train_*", "val_*", "save_*", "log_*"),
    *("*_dir", "*_path", "*_data", "loss_*", "*_loss_coef", "neg_spans_ratio", "scheduler*", "weight_decay*"),
    *("freeze_*", "label_smoothing", "root", "optimizer*", "max_grad_norm", "seed", "gpu", "run_time"),
    "_attn_implementation",
)
_LISTED = (
    Unread("names the checkpoint", _NAMES),
    Unread("is of training", _TRAINING),
    Unread(
        "names networks that are not served",
        ("labels_encoder", "labels_decoder", "relations_layer", "triples_layer"),
        (None,),
    ),
    Unread("chooses the vector of a word", ("subtoken_pooling",), ("first",)),
    Unread("chooses how words are found", ("words_splitter_type",), ("whitespace",)),
    Unread("puts layers between the encoder and its head", ("post_fusion_schema",), ("", None)),
    Unread("says how many layers are between the encoder and its head", ("num_post_fusion_layers",)),
    Unread("mixes the layers of the encoder", ("fuse_layers", "precomputed_prompts_mode"), (False, None)),
    Unread("names networks that are not served", ("span_encoder_config",), (None, {})),
    Unread("has labels that are given once for all", ("id_to_classes",), (None,)),
    Unread("gives spans a vector where words have the scores", ("represent_spans",), (False,)),
    Unread(
        "is of networks that are not served, beside what names them",
        (
            "decoder_mode",
            "full_decoder_context",
            "blank_entity_prob",
            "embed_rel_token",
            "rel_token",
            "rel_token_index",
        ),
    ),
    Unread("says that there is an LSTM", ("has_rnn",), (True,)),
)
_KINDS = {
    SPANS: (None, "gliner", "gliner_uni_encoder_span"),
    WORDS: (None, "gliner", "gliner_uni_encoder_token"),
}
"""The `model_type` of each `span_mode`; the library goes by the second alone."""
SERVED = (
    f"Served are GLiNER's uni-encoders, which read the labels before the text, with span_mode {SPANS!r} or {WORDS!r}"
)


@dataclass(frozen=True, kw_only=True)
class GlinerSettings:
    """What the head and the prompt of a GLiNER checkpoint are."""

    encoder: Mapping[str, Any] | None
    """The configuration of its encoder, in transformers' keys; None where `encoder_name` alone says it."""
    encoder_name: str
    """The hub id, or the folder, of the encoder that it was trained from."""
    hidden_size: int
    """Width of the head."""
    of_words: bool
    """Whether words have the scores, and not spans."""
    max_width: int
    """Words of the longest entity, where spans have the scores."""
    max_words: int
    """Words of a text that count."""
    rnn_layers: int
    marker: str
    """The word before each label."""
    separator: str
    """The word between the labels and the text."""
    marker_id: int | None
    """The token of `marker`; None where it is one that the library adds to the tokenizer."""
    vector_of_marker: bool
    """Whether the vector of a label is that of the marker before it, or of the first token of the label."""

    @property
    def adds_tokens(self) -> bool:
        """Whether the tokenizer of the encoder gets tokens that it does not know."""
        return self.marker_id is None

    @property
    def found(self) -> str:
        """What may be an entity, in words."""
        runs = "runs of words" if self.of_words else f"spans of 1 to {self.max_width} words"
        return f"{runs}; {self.max_words} words of a text count"


def is_gliner(folder: Path) -> bool:
    """Whether the checkpoint in `folder` is one of the library GLiNER."""
    return (folder / GLINER).is_file()


def read_gliner(folder: Path) -> GlinerSettings:
    """What the checkpoint in `folder` says.

    Raises:
        Unsupported: a network of the library that is not served, or a key that nothing reads.
        CheckpointError: a number is missing, or is none.
    """
    file = folder / GLINER
    stated = read_needed_object(file)
    kind, mode = stated.get("model_type"), stated.get("span_mode", SPANS)
    if (other := unserved(stated)) is not None:
        raise Unsupported(f"{file} states {other}. It is not served. {SERVED}")
    if str(mode) not in _KINDS:
        raise Unsupported(f"{file} states span_mode {mode!r}, which is not served. {SERVED}")
    if kind not in _KINDS[str(mode)]:
        raise Unsupported(f"{file} states model_type {kind!r}, which is not that of span_mode {mode!r}. {SERVED}")
    check_keys(file, stated, _READ, _LISTED)
    encoder = stated.get("encoder_config")
    if encoder is not None and not isinstance(encoder, dict):
        raise CheckpointError(f"{file} states encoder_config {encoder!r:.80}; a JSON object is expected")
    added = -1 in (stated.get("class_token_index", -1), stated.get("vocab_size", -1))
    return GlinerSettings(
        encoder=encoder,
        encoder_name=str(stated.get("model_name", "microsoft/deberta-v3-small")),
        hidden_size=_whole(file, stated, "hidden_size", 512),
        of_words=mode == WORDS,
        max_width=_whole(file, stated, "max_width", 12),
        max_words=_whole(file, stated, "max_len", 384),
        rnn_layers=_whole(file, stated, "num_rnn_layers", 1, least=0),
        marker=str(stated.get("ent_token", "<<ENT>>")),
        separator=str(stated.get("sep_token", "<<SEP>>")),
        marker_id=None if added else _whole(file, stated, "class_token_index", 0, least=0),
        vector_of_marker=bool(stated.get("embed_ent_token", True)),
    )


def _whole(file: Path, stated: Mapping[str, Any], key: str, default: int, *, least: int = 1) -> int:
    value = stated.get(key, default)
    if type(value) is not int or value < least:
        raise CheckpointError(f"{file} states {key} {value!r}; a whole number from {least} on is expected")
    return value
