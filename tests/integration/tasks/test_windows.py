"""Texts longer than the model, window by window, against transformers by hand."""

import numpy as np
import torch
import transformers
from references import TEXTS

from .pipelines import SCORES, SEQUENCES, TAGS, TOKENS

LONG = "\r\n".join(TEXTS * 2)


def windows_by_hand(folder, network, *, overlap):
    """The windows of a long text, each run through transformers by itself: (first token, tokens, output)."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = network.from_pretrained(folder).eval()
    ids = tokenizer(LONG, add_special_tokens=False)["input_ids"]
    begin, room = 0, 62
    while True:
        window = ids[begin : begin + room]
        row = [tokenizer.cls_token_id, *window, tokenizer.sep_token_id]
        with torch.inference_mode():
            yield begin, len(window), model(input_ids=torch.tensor([row]))
        if begin + room >= len(ids):
            return
        begin += room - overlap


def test_embed_in_windows(client, checkpoints):
    windows = list(windows_by_hand(checkpoints["embed-bert"], transformers.AutoModel, overlap=8))
    vectors = np.stack([output.last_hidden_state[0].mean(0).numpy() for _, _, output in windows])
    expected = np.average(vectors, axis=0, weights=[size + 2 for _, size, _ in windows])
    answer = client.embed(["short", LONG, ""], model="embed-bert", long_text="chunk", overlap=8)
    np.testing.assert_allclose(answer.vectors[1], expected, **SCORES)
    assert answer.window_counts.tolist() == [1, len(windows), 1]
    assert answer.dropped_counts.tolist() == [0, 0, 0]
    alone = client.embed(["short"], model="embed-bert").vectors[0]
    np.testing.assert_allclose(answer.vectors[0], alone, rtol=0, atol=1e-5)


def test_classify_in_windows(client, checkpoints):
    windows = list(windows_by_hand(checkpoints["classify-bert"], SEQUENCES, overlap=20))
    logits = np.stack([output.logits[0].numpy() for _, _, output in windows])
    mean = torch.tensor(np.average(logits, axis=0, weights=[size + 2 for _, size, _ in windows]))
    answer = client.classify([LONG], model="classify-bert", long_text="chunk", overlap=20)
    np.testing.assert_allclose(answer.scores[0], sorted(mean.softmax(0).tolist(), reverse=True), **SCORES)
    assert answer.window_counts.tolist() == [len(windows)]


def test_classify_tokens_in_windows(client, checkpoints):
    folder, overlap = checkpoints["tokens-bert"], 11
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    places = tokenizer(LONG, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    tags = {}
    for begin, size, output in windows_by_hand(folder, TOKENS, overlap=overlap):
        first = 0 if begin == 0 else (overlap + 1) // 2
        for index in range(first, size):  # the next window takes over what is its own
            tags[begin + index] = TAGS[int(output.logits[0, 1 + index].argmax())]
    expected = [(tags[index], *places[index]) for index in range(len(places)) if tags[index] != "O"]
    (entities,) = client.classify_tokens(
        [LONG], model="tokens-bert", long_text="chunk", overlap=overlap, aggregation="none"
    ).entities
    assert [(entity.label, entity.start, entity.end) for entity in entities] == expected
    assert max(entity.end for entity in entities) > len(LONG) * 0.9
