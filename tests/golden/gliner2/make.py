"""Write entities.json: what GLiNER2 2.1.0 itself says of the checkpoints of `tests/export/gliner2`.

In an environment of its own: `pip install "gliner2[local]==2.1.0"`, then, in this folder,
`PYTHONPATH=../.. python make.py`.
"""

from export.gliner2 import checkpoints
from gliner2 import GLiNER2
from golden.answers_of_others import rounded, write_answers

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
    "ModernBERT": {"counting_layer": "count_lstm_v2", "encoder": checkpoints.MODERNBERT},
}


def ask(folder, case):
    """What the library says to each set of options, text by text, with the counts and the logits behind it."""
    model, seen = GLiNER2.from_pretrained(folder).eval(), []
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
    return {"answers": answers, "behind": [shown(each) for each in seen[: len(TEXTS)]]}


def shown(behind):
    """The counts (20,) and the logits (c, w, K) of one text; 0 of spans that end behind it."""
    logits = behind.get("logits")
    of_spans = None if logits is None else rounded(logits[0].masked_fill(logits[0].isinf(), 0.0))
    return {"counts": rounded(behind["counts"]), "logits": of_spans}


write_answers(__file__, "gliner2", checkpoints.gliner2, ask, cases=CASES, texts=TEXTS, labels=LABELS, asked=ASKED)
