"""Every task in this process, without Triton, against the server that has the same pipelines."""

import numpy as np
import pytest
from references import TEXTS

from encserve import InvalidInput
from encserve.local import Encoder

NEAR = {"rtol": 0, "atol": 1e-6}
MASKED = ["a {} in the middle", "{} at the beginning, and {} again"]
ASKED = {
    "embed-bert": lambda ask: ask("embed", TEXTS, dimensions=16, long_text="chunk").vectors,
    "embed-tokens-bert": lambda ask: np.concatenate(ask("embed_tokens", TEXTS, prompt_name="query").vectors),
    "late-bert": lambda ask: np.concatenate(
        [*ask("embed_tokens", TEXTS, input_type="query").vectors, ask("rerank", "Who?", TEXTS).scores], axis=None
    ),
    "embed-sparse-bert": lambda ask: np.concatenate(ask("embed_sparse", TEXTS, top_k=5).weights),
    "sparse-routed-bert": lambda ask: np.concatenate(
        [weights for kind in ("query", "document") for weights in ask("embed_sparse", TEXTS, input_type=kind).weights]
    ),
    "classify-roberta": lambda ask: ask("classify", TEXTS).scores,
    "regress-bert": lambda ask: ask("classify", TEXTS).scores,
    "pairs-bert": lambda ask: ask("classify", TEXTS, text_pairs=TEXTS[::-1]).scores,
    "rank-bert": lambda ask: ask("rerank", "Who?", TEXTS).scores,
    "tokens-bert": lambda ask: [
        (each.score, each.start, each.end) for text in ask("classify_tokens", TEXTS).entities for each in text
    ],
    "answer-roberta": lambda ask: [
        (each.score, each.start, each.end)
        for spans in ask("answer", "Who?", TEXTS[-1], top_k=5, overlap=16).spans
        for each in spans
    ],
    "mask-bert": lambda ask: [
        (each.score, each.token_id)
        for text in ask("fill_mask", [text.replace("{}", "<mask>") for text in MASKED]).masks
        for mask in text
        for each in mask
    ],
    "zero-shot-bert": lambda ask: ask("classify_zero_shot", TEXTS, ["a", "b"], multi_label=True).scores,
}
"""Pipeline -> numbers of an answer, out of a way to ask it."""


@pytest.mark.parametrize("name", ASKED)
def test_the_answers_are_those_of_the_server(repository, client, name):
    def of_server(verb, *about, **options):
        return getattr(client, verb)(*about, model=name, **options)

    with Encoder(repository, name) as encoder:
        ours = ASKED[name](lambda verb, *about, **options: getattr(encoder, verb)(*about, **options))
    theirs = ASKED[name](of_server)
    assert len(ours) > 0
    np.testing.assert_allclose(np.array(ours), np.array(theirs), **NEAR)


def test_refusals_are_those_of_the_server(repository, client):
    def said(ask):
        with pytest.raises(InvalidInput) as refused:
            ask()
        return refused.value.args[0].removeprefix("in ensemble 'mask-bert', "), refused.value.status

    with Encoder(repository, "mask-bert") as encoder:
        ours = said(lambda: encoder.fill_mask(["a <mask>", "no mask"]))
        assert ours == said(lambda: client.fill_mask(["a <mask>", "no mask"], model="mask-bert"))
        with pytest.raises(InvalidInput, match="is for fill-mask, embed needs feature-extraction"):
            encoder.embed(TEXTS)
