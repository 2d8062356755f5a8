"""Wrong readings: what each changes of what was read, or of the steps that were staged."""

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tokenizers import Tokenizer, normalizers, processors

from encserve_export.attention.packing import Packing
from encserve_export.checkpoint.sentence.pooling import POOLINGS
from encserve_server.steps.head.answers.vectors import text_vectors as vectors
from encserve_server.steps.tokenize.layouts import single_texts, templated_pairs, text_pairs
from export.small_checkpoints import BEGIN, END


@dataclass(frozen=True)
class Mistake:
    """One wrong reading."""

    of: str
    """The checkpoint."""
    message: str
    """What the refusal must say."""
    read: Any = lambda checkpoint: checkpoint
    """Changes what was read of the checkpoint."""
    tamper: Any = lambda staged, monkeypatch: None
    """Changes the staged steps."""


def modules(**changes):
    return lambda checkpoint: replace(checkpoint, modules=replace(checkpoint.modules, **changes))


def reaching(tokens):
    """Another length to which the network's positions go."""
    return lambda checkpoint: replace(checkpoint, max_length=tokens)


def settings(step, **changes):
    """Other settings of a step."""
    return lambda staged, monkeypatch: staged.change(step, **changes)


def shifted(layout, tensor):
    """A tokenize step that tells of places which are one character too far on."""

    def tamper(staged, monkeypatch):
        lay = layout.Layout.packed_tensors

        def too_far(self, *args):
            tensors = lay(self, *args)
            return {**tensors, tensor: np.where(tensors[tensor] >= 0, tensors[tensor] + 1, -1).astype(np.int32)}

        monkeypatch.setattr(layout.Layout, "packed_tensors", too_far)

    return tamper


def normalised_first(staged, monkeypatch):
    """A head that cuts vectors after it has scaled them to length 1."""
    finish = vectors.finish_vectors

    def cut_last(rows, options):
        return finish(rows, {**options, "dimensions": None})[..., : options["dimensions"]]

    monkeypatch.setattr(vectors, "finish_vectors", cut_last)


def tokens_turned(staged, monkeypatch):
    """A head that names each token of the vocabulary as the one after it."""
    tokens = json.loads((staged.folders["head"] / "settings.json").read_text())["tokens"]
    staged.change("head", tokens=[*tokens[1:], tokens[0]])


def options(step_names, **defaults):
    """Other defaults of options, in the settings of the named steps."""

    def tamper(staged, monkeypatch):
        for step in step_names:
            settings = json.loads((staged.folders[step] / "settings.json").read_text())
            for name, default in defaults.items():
                settings["options"][name]["default"] = default
            staged.change(step, options=settings["options"])

    return tamper


def tokenizer(change):
    """Another published tokenizer."""

    def tamper(staged, monkeypatch):
        file = staged.folders["tokenize"] / "tokenizer.json"
        changed = Tokenizer.from_file(str(file))
        change(changed)
        changed.save(str(file))

    return tamper


def other_frame(changed):
    changed.post_processor = processors.TemplateProcessing(
        single="</s> $A <s>", pair="</s> $A <s> $B:1 <s>:1", special_tokens=[("<s>", BEGIN), ("</s>", END)]
    )


def swapped_types(changed):
    changed.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s>:1 $A:1 </s>:1 $B:0 </s>:0", special_tokens=[("<s>", BEGIN), ("</s>", END)]
    )


def reversed_pairs(staged, monkeypatch):
    """A tokenize step that puts the second text of a pair first."""
    lay = text_pairs.Layout.packed_tensors

    def turned(self, groups, encodings, options):
        first, second = encodings
        first = list(first) * len(second) if len(first) == 1 else first
        return lay(self, groups, [second, first], options)

    monkeypatch.setattr(text_pairs.Layout, "packed_tensors", turned)


def cased(changed):
    changed.normalizer = normalizers.Sequence([])


def without_a_layer(checkpoint):
    """The last layer is lost."""
    del checkpoint.model.base_model.encoder.layer[-1]
    return checkpoint


def endless(changed):
    """A frame without the token that ends a text."""
    changed.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])


def ends_cut_off(staged, monkeypatch):
    """A tokenize step that cuts a text with its end token on."""
    pack = single_texts.Layout.pack

    def cut_off(self, rows):
        tensors = pack(self, rows)
        if len(rows) == 1 and tensors["lengths"][0] == self.limits.max_length:
            tensors |= {"input_ids": tensors["input_ids"][:-1], "lengths": tensors["lengths"] - 1}
        return tensors

    monkeypatch.setattr(single_texts.Layout, "pack", cut_off)


def template_cut_off(staged, monkeypatch):
    """A tokenize step that cuts a pair with the end of its template on."""
    monkeypatch.setattr(templated_pairs.Layout, "_ending", lambda self, options: [])


def no_for_yes(checkpoint):
    """Scores of the one word less the other, the wrong way round."""
    checkpoint.model.score.weight.neg_()
    return checkpoint


def pooled_before_the_end(staged, monkeypatch):
    """A graph that takes the token before the last."""
    monkeypatch.setitem(
        POOLINGS,
        "lasttoken",
        lambda states, packing: states[packing.token_at[:, 0] + (packing.lengths - 2).clamp(min=0)],
    )


def seeing_what_follows(staged, monkeypatch):
    """A graph in which tokens look both ways."""
    monkeypatch.setattr(Packing, "facing", lambda packing, direction: packing)
