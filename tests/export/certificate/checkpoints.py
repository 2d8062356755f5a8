"""The checkpoints that are misread, and how they are exported."""

import json

import transformers
from tests.integration.tasks.pipelines import ENTITIES, LABELS, SEQUENCES, TOKENS

from export.families.checkpoints import write_checkpoint
from export.rerankers.checkpoints import write_reranker
from export.small_checkpoints import make_checkpoint, write_modules

PROMPTS = {"query": "find: ", "other": "it is about: "}
YES_NO = {"true_token_id": 40, "false_token_id": 41}


def sentences(folder, *, pooling="mean", normalize=True, default=None, cased=False, length=40, dense=False):
    modules = [("Transformer", "", {"max_seq_length": length, "do_lower_case": cased})]
    modules += [("Pooling", "1_Pooling", {"pooling_mode": pooling})]
    modules += [("Normalize", "3_Normalize", {})] if normalize else []
    make_checkpoint(folder, family="roberta" if cased else "bert", modules=modules)
    prompting = {"prompts": PROMPTS, "default_prompt_name": default}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompting))
    return folder


def last_tokens(folder):
    """A decoder, of whose texts the end token has the vector, as Qwen's embedding models are."""
    write_checkpoint(folder, "qwen3", max_length=40)
    modules = [("Transformer", "", {}), ("Pooling", "1_Pooling", {"pooling_mode_lasttoken": True})]
    write_modules(folder, [*modules, ("Normalize", "2_Normalize", {})], 32)
    return folder


def as_long_as_it_can(folder, family):
    """A tokenizer that states more tokens than the network has positions for, as those of RoBERTa often do."""
    make_checkpoint(folder, family=family)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": 512}))
    return folder


CHECKPOINTS = {
    "positions after padding": lambda folder: as_long_as_it_can(folder, "roberta"),
    "sentences": sentences,
    "sentences, cls": lambda folder: sentences(folder, pooling="cls"),
    "sentences, not normalised": lambda folder: sentences(folder, normalize=False),
    "sentences, prompted": lambda folder: sentences(folder, default="query"),
    "sentences, lower case": lambda folder: sentences(folder, cased=True),
    "sentences, last token": last_tokens,
    "labels": lambda folder: make_checkpoint(folder, network=SEQUENCES, **LABELS),
    "several labels": lambda folder: make_checkpoint(
        folder, network=SEQUENCES, problem_type="multi_label_classification", **LABELS
    ),
    "pairs": lambda folder: make_checkpoint(folder, network=SEQUENCES, **LABELS),
    "ranking": lambda folder: make_checkpoint(folder, network=SEQUENCES, num_labels=1),
    "asked in words": lambda folder: write_reranker(folder, score=YES_NO, settings={}),
    "entities": lambda folder: make_checkpoint(folder, network=TOKENS, **ENTITIES),
    "spans": lambda folder: make_checkpoint(folder, network=transformers.AutoModelForQuestionAnswering),
    "masks": lambda folder: make_checkpoint(folder, network=transformers.AutoModelForMaskedLM),
    "entailment": lambda folder: make_checkpoint(
        folder,
        network=SEQUENCES,
        id2label={0: "contradiction", 1: "neutral", 2: "entailment"},
        label2id={"contradiction": 0, "neutral": 1, "entailment": 2},
    ),
}
OPTIONS = {
    "asked in words": {"task": "text-ranking"},
    "pairs": {"pairs": True},
    "ranking": {"task": "text-ranking"},
    "entailment": {"task": "zero-shot-classification"},
}
