"""The cells of the matrix, family x task, and a small checkpoint for each."""

import transformers
from export.families.checkpoints import BYTE_LEVEL, CASES, UNIGRAM, WORDPIECE, write_checkpoint

from encserve_export.families import FAMILIES
from encserve_export.tasks import TASKS

MAX_LENGTH = 64
TOKENIZERS = {WORDPIECE: "WordPiece", BYTE_LEVEL: "byte-level BPE", UNIGRAM: "Unigram"}

DIAGONAL = {
    "feature-extraction": "t5",
    "token-embedding": "modernbert",
    "sparse-embedding": "distilbert",
    "text-classification": "deberta-v2",
    "text-ranking": "xlm-roberta",
    "token-classification": "roberta",
    "question-answering": "megatron-bert",
    "fill-mask": "mpnet",
    "zero-shot-classification": "albert",
}
"""Task -> the case that has it by default: each task, each tokenizer and both ways to attend at least once."""


def _labels(*labels):
    return {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}


_CONFIG = {
    "text-classification": _labels("calm", "größer", "spam"),
    "text-ranking": {"num_labels": 1},
    "token-classification": _labels("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"),
    "zero-shot-classification": _labels("contradiction", "neutral", "ENTAILMENT"),
}


def network_class(case, task):
    """The class of transformers for the cell, None where it has none."""
    family = FAMILIES[case.split()[0]]
    network = TASKS[task].network
    network = family.network if network is transformers.AutoModel else network
    return network if CASES[case][0] in network._model_mapping else None


def make_checkpoint(folder, case, task):
    """Write a checkpoint of random weights with the head of the cell."""
    config = dict(_CONFIG.get(task, {}))
    if FAMILIES[case.split()[0]].token_types and "type_vocab_size" not in CASES[case][1]:
        config["type_vocab_size"] = 2  # some have none by default, and would not show types that are wrong
    return write_checkpoint(folder, case, network=network_class(case, task), max_length=MAX_LENGTH, **config)
