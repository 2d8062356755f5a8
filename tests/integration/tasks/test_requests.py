"""Requests that are wrong, and requests beside others."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from references import TEXTS

from encserve import Client, InvalidInput


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda client: client.fill_mask(["a <mask>", "no mask"], model="mask-bert"), "text 1 has no <mask>"),
        (
            lambda client: client.fill_mask(["word " * 99 + "<mask>"], model="mask-bert"),
            "and 1 of its 1 <mask> with it",
        ),
        (lambda client: client.score(["a", "a <mask>"], model="mask-bert"), "has a <mask>; a text without"),
        (lambda client: client.answer("Why?", "", model="answer-bert"), "text_pair 0 is empty"),
        (lambda client: client.answer("Why " * 60, "Because.", model="answer-bert"), "leaves 0 of max_length 64"),
        (lambda client: client.answer("Why?", "x", model="answer-bert", top_k=101), "option top_k is 101"),
        (lambda client: client.classify_zero_shot(["x"], [], model="zero-shot-bert"), "labels is empty"),
        (lambda client: client.classify_zero_shot(["x"], ["a", "a"], model="zero-shot-bert"), "may be there once"),
        (lambda client: client.classify_zero_shot(["x"], ["word " * 99], model="zero-shot-bert"), "leaves no room"),
        (
            lambda client: client.classify_zero_shot(["x"], ["a"], hypothesis_template="b", model="zero-shot-bert"),
            "it must hold {} once",
        ),
        (lambda client: client.classify(["x"], model="tokens-bert"), "is for token-classification, classify needs"),
        (lambda client: client.rerank(3, ["x"], model="rank-bert"), "query is int"),
    ],
)
def test_bad_input(client, ask, message):
    with pytest.raises(InvalidInput, match=message):
        ask(client)


def test_a_wrong_request_does_not_fail_its_neighbours(server):
    texts = ["a <mask>", "no mask", "<mask> b"] * 8
    with Client(server.grpc_url, timeout_s=300, texts_per_request=1) as client, ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(client.fill_mask, [text], model="mask-bert") for text in texts]
        for text, call in zip(texts, calls, strict=True):
            if "<mask>" in text:
                assert len(call.result().masks) == 1
            else:
                assert isinstance(call.exception(), InvalidInput)


def test_an_answer_does_not_depend_on_its_neighbours(server):
    with Client(server.grpc_url, timeout_s=300, texts_per_request=64) as client:
        together = client.classify(TEXTS, model="classify-bert")
        turned = client.classify(TEXTS[::-1], model="classify-bert")
        for index, text in enumerate(TEXTS):
            alone = client.classify([text], model="classify-bert")
            for labels, scores in (
                (together.labels[index], together.scores[index]),
                (turned.labels[-1 - index], turned.scores[-1 - index]),
            ):
                assert labels == alone.labels[0]
                np.testing.assert_allclose(scores, alone.scores[0], rtol=0, atol=1e-5)
