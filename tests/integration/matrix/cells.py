"""The cells of the matrix, family x task, and a small checkpoint for each."""

import torch
import transformers
from export.families.checkpoints import BYTE_LEVEL, CASES, UNIGRAM, WORDPIECE, write_checkpoint

from encserve_export.attention.families import FAMILIES
from encserve_export.checkpoint.tasks.table import TASKS

MAX_LENGTH = 64
TOKENIZERS = {WORDPIECE: "WordPiece", BYTE_LEVEL: "byte-level BPE", UNIGRAM: "Unigram"}

SAMPLE = {
    "feature-extraction": "t5",
    "token-embedding": "modernbert",
    "text-classification": "deberta-v2",
    "question-answering": "megatron-bert",
    "fill-mask": "mpnet",
}
"""Task -> the case that has it by default: each tokenizer and both ways to attend at least once, and the families that
differ most from BERT, with which `tests/integration/tasks` asks every task."""


def _labels(*labels):
    return {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}


_CONFIG = {
    "text-classification": _labels("calm", "größer", "spam"),
    "text-ranking": {"num_labels": 1},
    "token-classification": _labels("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"),
    "zero-shot-classification": _labels("contradiction", "neutral", "ENTAILMENT"),
}


_SEEDS = {("deberta", "token-classification"): 1}
"""Seeds of cells in which the weights of seed 0 give every token of every text the same label."""


def network_class(case, task):
    """The class of transformers for the cell, None where it has none."""
    family = FAMILIES[case.split()[0]]
    network = TASKS[task].network
    network = family.network if network is transformers.AutoModel else network
    return network if CASES[case][0] in network._model_mapping else None


def reads_decoder(case, task):
    """Whether the class of transformers for the cell reads a text with a decoder too, so that it is no encoder's."""
    config_class, settings, _ = CASES[case]
    config = config_class(**settings)
    config.vocab_size = config.vocab_size or 400  # ESM's has no default
    with torch.device("meta"):
        model = network_class(case, task).from_config(config)
    return any(getattr(module, "is_decoder", False) for module in model.modules())


ONE_LAYER = {"t5": {"num_layers": 1}, "modernbert": {}}
"""How a configuration says that there is one layer, where not as most do. ModernBERT's two layers are of two kinds."""


def make_checkpoint(folder, case, task, *, small=False):
    """Write a checkpoint of random weights with the head of the cell, of one layer where it is to be `small`."""
    config = dict(_CONFIG.get(task, {}))
    if small:
        config |= ONE_LAYER.get(case, {"num_hidden_layers": 1})
    if FAMILIES[case.split()[0]].token_types and "type_vocab_size" not in CASES[case][1]:
        config["type_vocab_size"] = 2  # some have none by default, and would not show types that are wrong
    seed = _SEEDS.get((case, task), 0)
    return write_checkpoint(folder, case, network=network_class(case, task), max_length=MAX_LENGTH, seed=seed, **config)
