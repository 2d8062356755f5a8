"""Write entities.json: what GLiNER 0.2.29 itself says of the checkpoints of `tests/export/gliner`.

In an environment of its own, since it wants an older transformers: `pip install gliner==0.2.29`, then, in this folder,
`PYTHONPATH=../.. python make.py`.
"""

import importlib.util
import json
import sys
import tempfile
from pathlib import Path

import gliner
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
spec = importlib.util.spec_from_file_location("checkpoints", HERE.parents[1] / "export" / "gliner" / "checkpoints.py")
checkpoints = importlib.util.module_from_spec(spec)
spec.loader.exec_module(checkpoints)

TEXTS = [
    "The Library of the Town opens at Nine.",
    "rain",
    "Of all the trees, in the garden; only the oldest-one had lost its leaves before the first night of frost!",
    "rain rain 中 rain \U0001f600 (well_known)",
    "word " * 60,
]
LABELS = ["place", "time of day", "weather"]
ASKED = {
    "flat": {},
    "nested": {"flat_ner": False},
    "several labels": {"multi_label": True},
    "nested, several labels, a low threshold": {"flat_ner": False, "multi_label": True, "threshold": 0.4},
    "a high threshold": {"threshold": 0.75},
}
CASES = {
    "projected": {},
    "plain": {"projected": False, "num_rnn_layers": 2, "embed_ent_token": False},
    "words": {"span_mode": "token_level"},
    "words, plain": {"span_mode": "token_level", "projected": False, "num_rnn_layers": 0, "embed_ent_token": False},
    "words of ModernBERT": {"span_mode": "token_level", "body": "modernbert"},
    "ModernBERT": {"body": "modernbert"},
    "BERT": {"body": "bert"},
    "RoBERTa": {"body": "roberta"},
    "XLM-R": {"body": "xlm-roberta"},
}
BODIES = ("ModernBERT", "BERT", "RoBERTa", "XLM-R")
"""Of these one thing is asked alone, and of those that are below "words" there are logits of two texts."""
ASKED_OF_BODIES = ("nested",)
WITH_ALL_LOGITS = ("projected", "plain", "words")

golden = {"library": f"gliner {gliner.__version__}", "texts": TEXTS, "labels": LABELS, "asked": ASKED, "cases": {}}
for case, how in CASES.items():
    with tempfile.TemporaryDirectory() as folder:
        model = gliner.GLiNER.from_pretrained(str(checkpoints.gliner(Path(folder) / "checkpoint", **how)))
    asked = ASKED_OF_BODIES if case in BODIES else ASKED
    logits = []
    forward = model.model.forward
    model.model.forward = lambda *args, **named: logits.append(forward(*args, **named)) or logits[-1]  # noqa: B023
    with torch.inference_mode():
        answers = {name: [model.predict_entities(text, LABELS, **ASKED[name]) for text in TEXTS] for name in asked}
    for entity in (entity for found in answers.values() for of_text in found for entity in of_text):
        entity["score"] = round(entity["score"], 6)
    shown = [each.logits[0] for each in logits[: len(TEXTS) - 1 if case in WITH_ALL_LOGITS else 2]]
    if how.get("span_mode") == "token_level":
        shown = [each.transpose(1, 2) for each in shown]
    logits = [each.numpy().round(5).tolist() for each in shown]
    golden["cases"][case] = {"how": how, "answers": answers, "logits": logits}
(HERE / "entities.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")
for case, found in golden["cases"].items():
    print(case, {name: [len(each) for each in answers] for name, answers in found["answers"].items()})
