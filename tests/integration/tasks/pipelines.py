"""The pipelines that the tests of tasks ask: how each checkpoint is made, and how it is exported."""

import transformers

SCORES = {"rtol": 0, "atol": 1e-4}
SEQUENCES = transformers.AutoModelForSequenceClassification
TOKENS = transformers.AutoModelForTokenClassification
LABELS = {"id2label": {0: "calm", 1: "größer", 2: "spam"}, "label2id": {"calm": 0, "größer": 1, "spam": 2}}
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]
ENTITIES = {"id2label": dict(enumerate(TAGS)), "label2id": {tag: index for index, tag in enumerate(TAGS)}}
PIPELINES = {
    "embed-bert": {"family": "bert", "matryoshka_dimensions": [8, 16]},
    "embed-tokens-bert": {
        "family": "bert",
        "modules": [("Transformer", "", {"max_seq_length": 64})],
        "export": {"task": "token-embedding"},
    },
    "embed-sparse-bert": {"network": transformers.AutoModelForMaskedLM, "family": "bert"},
    "classify-bert": {"network": SEQUENCES, "family": "bert", **LABELS},
    "classify-roberta": {
        "network": SEQUENCES,
        "family": "roberta",
        "problem_type": "multi_label_classification",
        **LABELS,
    },
    "regress-bert": {"network": SEQUENCES, "family": "bert", "problem_type": "regression", "num_labels": 1},
    "pairs-bert": {"network": SEQUENCES, "family": "bert", **LABELS, "export": {"pairs": True}},
    "rank-bert": {"network": SEQUENCES, "family": "bert", "num_labels": 1, "export": {"task": "text-ranking"}},
    "rank-roberta": {
        "network": SEQUENCES,
        "family": "roberta",
        "num_labels": 1,
        "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "6.2.0"},
    },
    "tokens-bert": {"network": TOKENS, "family": "bert", **ENTITIES},
    "tokens-roberta": {"network": TOKENS, "family": "roberta", **ENTITIES},
    "answer-bert": {"network": transformers.AutoModelForQuestionAnswering, "family": "bert"},
    "answer-roberta": {"network": transformers.AutoModelForQuestionAnswering, "family": "roberta"},
    "mask-bert": {"network": transformers.AutoModelForMaskedLM, "family": "bert"},
    "mask-roberta": {"network": transformers.AutoModelForMaskedLM, "family": "roberta"},
    "zero-shot-bert": {
        "network": SEQUENCES,
        "family": "bert",
        "id2label": {0: "contradiction", 1: "neutral", 2: "ENTAILMENT"},
        "label2id": {"contradiction": 0, "neutral": 1, "ENTAILMENT": 2},
        "export": {"task": "zero-shot-classification"},
    },
    "classify-calibrated": {"network": SEQUENCES, "family": "bert", **LABELS},
}
"""Pipeline -> how its checkpoint is made, and how it is exported. `layouts.py` has those of other layouts."""
BREADTH = {
    "rank-roberta",
    "tokens-roberta",
    "mask-roberta",
    "entities-words",
    "entities-gliner2",
    "rank-qwen2",
    "static-sentences",
}
"""Of those, what only slow tests ask: for each a network is traced, and a server has three steps more. `make test` asks
RoBERTa and its tokenizer for labels and for answers, and a GLiNER of spans."""
HEADS = {"shared": "labels", "shared-tags": "tags", "shared-words": "words", "shared-spans": "spans"}
"""Pipelines that share one encode step -> the head of each."""
ADAPTERS = {"embed-bert": {"legal": (), "medical": ()}, "classify-bert": {"polite": ("classifier",)}}
"""Pipeline -> its adapters, with the modules of the head that each brings."""
CASCADE = {"small": "classify-bert", "large": "classify-calibrated"}
"""The two pipelines of `cascade-bert`."""
CASCADE_TEXTS = [f"text number {number} of many " * (1 + number % 3) for number in range(40)]
"""Texts of which the small pipeline is sure of a half, and the large one of a half of the others."""
