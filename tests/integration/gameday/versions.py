"""Versions of the pipelines that are broken in the ways that alerts are for."""

import json
import shutil

from serving import certify_again, change_weights, copy_version

MINILM_WIDTH = 384
ROWS = 29_570
"""Of the words of MiniLM, those that `FAILING` still has: all digits, of which questions of health are made."""
FAILING, NONFINITE, DEADLY, DAMAGED = 2, 3, 4, 5
"""Versions of `minilm`: whose network fails for rare words, gives NaN for "because", dies of a tiger; and a good one,
to be damaged."""
RARE, MORTAL, BECAUSE_TEXT = "a pudding", "a tiger", "because it is so"
BECAUSE, TIGER = 2138, 6816
"""Their places in the vocabulary."""


def write_versions(models):
    """Publish them all; version 1 stays active."""
    for version in (FAILING, NONFINITE, DEADLY, DAMAGED):
        copy_version(models, "minilm", 1, version)
    change_weights(models, "minilm", FAILING, lambda tensor, values: values[:ROWS] if is_words(values) else None)
    change_weights(models, "minilm", NONFINITE, poisoned)
    step = models / f"minilm_encode/{DEADLY}/encode/encoder.py"
    checks = "        self._bounds.check(tensors)\n"
    dies = f'        if (tensors["input_ids"] == {TIGER}).any():\n            __import__("os")._exit(1)\n'
    text = step.read_text()
    assert text.count(checks) == 1
    step.write_text(text.replace(checks, checks + dies))
    certify_again(models, "minilm", DEADLY, step)
    copy_version(models, "large", 1, 2)
    leave_room(models, rows=4)


def leave_room(models, *, rows):
    """Let `t5` decode so many texts of 64 tokens with 1,000 new ones at a time."""
    file = models / "t5_generate/1/settings.json"
    settings = json.loads(file.read_text())
    shape = settings["shape"]
    settings["engine"]["cache_bytes"] = rows * (64 + 1_024) * 8 * shape["layers"] * shape["heads"] * shape["size"]
    file.write_text(json.dumps(settings))
    certify_again(models, "t5", 1, file)


def is_words(values):
    """Whether a tensor has the vectors of the words."""
    return values.ndim == 2 and values.shape[1] == MINILM_WIDTH and len(values) > ROWS


def poisoned(tensor, values):
    """The vectors of the words, with NaN for one that stands in the texts of certificates."""
    if not is_words(values):
        return None
    values = values.copy()
    values[BECAUSE] = float("nan")
    return values


def damage(models):
    """Change a file of the version that is active, as a copy that went wrong does."""
    file = models / f"minilm_tokenize/{DAMAGED}/tokenizer.json"
    wrong = file.with_suffix(".new")
    shutil.copy(file, wrong)
    wrong.write_bytes(wrong.read_bytes().replace(b"hello", b"hallo", 1))
    wrong.rename(file)
