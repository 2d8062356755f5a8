"""Write entities.json: what GLiNER2 2.1.0 itself says of the checkpoints of `tests/export/gliner2`.

In an environment of its own: `pip install "gliner2[local]==2.1.0"`, then, in this folder,
`PYTHONPATH=../.. python make.py`.
"""

import importlib.util
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
from gliner2 import GLiNER2

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
spec = importlib.util.spec_from_file_location("checkpoints", HERE.parents[1] / "export" / "gliner2" / "checkpoints.py")
checkpoints = importlib.util.module_from_spec(spec)
spec.loader.exec_module(checkpoints)

TEXTS = [
    "The Library of the Town opens at Nine",
    "rain",
    "Of all the trees, in the garden; only the oldest-one had lost its leaves before the first night of frost!",
    "Rain rain 中 RAIN \U0001f600 (well_known) ",
    "See https://town.example/Trees, or ask Ada@town.example, @ada or www.town.example",
    "noe\u0308l of the İle: what is it?",
    "",
]
LABELS = ["place", "Time of Day", "weather"]
ASKED = {
    "flat": {},
    "nested": {"overlap_policy": "nested"},
    "a low threshold": {"threshold": 0.3},
    "nested, a low threshold": {"overlap_policy": "nested", "threshold": 0.3},
    "a high threshold": {"threshold": 0.75},
    "described": {"descriptions": ["Where people are", "an hour, or a part of the day", "Rain & sun"]},
}
CASES = {
    "a GRU": {},
    "attending": {"counting_layer": "count_lstm_v2", "max_width": None, "span_head": {"max_width": 5}},
    "experts on BERT": {"counting_layer": "count_lstm_moe", "encoder": checkpoints.BERT, "knows_tokens": False},
    "nothing in some": {"none": 3.0},
}


def asked_of(model):
    """What the library says to each set of options, text by text, with the counts and the logits behind it."""
    seen = []
    model.count_pred.register_forward_hook(lambda module, given, counts: seen.append({"counts": counts[0]}))
    score = model.span_rep.score_queries

    def watched(*args, **named):
        seen[-1]["logits"] = score(*args, **named)
        return seen[-1]["logits"]

    model.span_rep.score_queries = watched
    answers = {}
    for name, options in ASKED.items():
        others = {option: value for option, value in options.items() if option != "descriptions"}
        described = options.get("descriptions")
        labels = dict(zip(LABELS, described, strict=True)) if described else LABELS
        found = [
            model.extract_entities(text, labels, include_confidence=True, include_spans=True, **others)["entities"]
            for text in TEXTS
        ]
        answers[name] = [
            [{"label": label, **entity} for label, entities in of_text.items() for entity in entities]
            for of_text in found
        ]
    return answers, seen[: len(TEXTS)]


def shown(behind):
    """The counts (20,) and the logits (c, w, K) of one text with five digits; 0 of spans that end behind it."""
    logits = behind.get("logits")
    of_spans = None if logits is None else logits[0].masked_fill(logits[0].isinf(), 0.0).numpy().round(5).tolist()
    return {"counts": behind["counts"].numpy().round(5).tolist(), "logits": of_spans}


golden = {"library": f"gliner2 {version('gliner2')}", "texts": TEXTS, "labels": LABELS, "asked": ASKED, "cases": {}}
for case, how in CASES.items():
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        model = GLiNER2.from_pretrained(str(checkpoints.gliner2(Path(folder) / "checkpoint", **how))).eval()
        answers, behind = asked_of(model)
    for entity in (entity for found in answers.values() for of_text in found for entity in of_text):
        entity["confidence"] = round(entity["confidence"], 6)
    golden["cases"][case] = {"how": how, "answers": answers, "behind": [shown(each) for each in behind]}
(HERE / "entities.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")
for case, found in golden["cases"].items():
    print(case, {name: [len(each) for each in answers] for name, answers in found["answers"].items()})
    print([round(max(each["counts"][1:]) - each["counts"][0], 2) for each in found["behind"]])
