"""Write flagembedding.npz: what FlagEmbedding 1.4.2 itself says of the checkpoint of `tests/export/hybrid`, one text
at a time, and the scores that it combines.

It can be installed beside encserve: `pip install FlagEmbedding==1.4.2`, then, in this folder,
`PYTHONPATH=../.. python make.py`.
"""

import tempfile
from pathlib import Path

import numpy as np
from export.hybrid.layouts import MADE, MAX_LENGTH, m3
from export.hybrid.test_outputs import GOLDEN, QUERY, TEXTS, WEIGHTS
from FlagEmbedding.inference.embedder.encoder_only.m3 import M3Embedder

WEIGHED = {"equal": None, "weighted": WEIGHTS}
"""What the scores of dense, sparse and tokens count by; None leaves it to the library."""


def outputs_of(model, text):
    """The vector of a text, the ids of its terms and their weights, and the vectors of its tokens."""
    asked = {"return_dense": True, "return_sparse": True, "return_colbert_vecs": True}
    given = model.encode([text], max_length=MAX_LENGTH, **asked)
    terms = given["lexical_weights"][0]
    return {
        "dense": given["dense_vecs"][0],
        "terms": np.array([*map(int, terms)], np.int32),
        "weights": np.array([*terms.values()], np.float32),
        "tokens": given["colbert_vecs"][0],
    }


def scores_of(model, weights):
    """The scores of all texts for the query, by the library's names for what they are made of."""
    lengths = {"max_query_length": MAX_LENGTH, "max_passage_length": MAX_LENGTH}
    each = [model.compute_score([(QUERY, text)], weights_for_different_modes=weights, **lengths) for text in TEXTS]
    return {name: np.array([scores[name][0] for scores in each], np.float32) for name in each[0]}


with tempfile.TemporaryDirectory() as folder:
    checkpoint = m3(Path(folder) / "checkpoint")
    model = M3Embedder(str(checkpoint), use_fp16=False, devices="cpu", colbert_dim=MADE)
    answers = {
        f"{name}_{number}": output
        for number, text in enumerate(TEXTS)
        for name, output in outputs_of(model, text).items()
    }
    for name, weights in WEIGHED.items():
        answers |= {f"{name} {made_of}": scores for made_of, scores in scores_of(model, weights).items()}
np.savez_compressed(GOLDEN, **answers)
