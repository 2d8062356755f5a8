"""Write entities.json: what GLiNER 0.2.29 itself says of the checkpoints of `tests/export/gliner`.

In an environment of its own, since it wants an older transformers: `pip install gliner==0.2.29`, then, in this folder,
`PYTHONPATH=../.. python make.py`.
"""

import gliner
from export.gliner import checkpoints
from golden.answers_of_others import rounded, write_answers

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
WORDS = {"span_mode": "token_level"}
CASES = {
    "projected": {},
    "plain": {"projected": False, "num_rnn_layers": 2, "embed_ent_token": False},
    "words": WORDS,
    "words, plain": WORDS | {"projected": False, "num_rnn_layers": 0, "embed_ent_token": False},
    "words of ModernBERT": WORDS | {"body": "modernbert"},
    "ModernBERT": {"body": "modernbert"},
    "BERT": {"body": "bert"},
    "RoBERTa": {"body": "roberta"},
    "XLM-R": {"body": "xlm-roberta"},
    "words of BERT": WORDS | {"body": "bert"},
    "words of RoBERTa": WORDS | {"body": "roberta"},
    "words of XLM-R": WORDS | {"body": "xlm-roberta"},
}
ASKED_ONCE = {case for case, how in CASES.items() if "body" in how} - {"words of ModernBERT"}
"""Of these one thing is asked alone."""
WITH_ALL_LOGITS = ("projected", "plain", "words")
"""Of the others there are logits of two texts."""


def ask(folder, case):
    """What the library says to each set of options, text by text, and the logits of the first texts."""
    model = gliner.GLiNER.from_pretrained(folder)
    logits, forward = [], model.model.forward
    model.model.forward = lambda *args, **named: logits.append(forward(*args, **named)) or logits[-1]
    asked = {"nested": ASKED["nested"]} if case in ASKED_ONCE else ASKED
    answers = {
        name: [model.predict_entities(text, LABELS, **options) for text in TEXTS] for name, options in asked.items()
    }
    shown = [each.logits[0] for each in logits[: len(TEXTS) - 1 if case in WITH_ALL_LOGITS else 2]]
    of_words = model.config.span_mode == "token_level"
    return {"answers": answers, "logits": [rounded(each.transpose(1, 2) if of_words else each) for each in shown]}


write_answers(__file__, "gliner", checkpoints.gliner, ask, cases=CASES, texts=TEXTS, labels=LABELS, asked=ASKED)
