"""Bodies that nobody sends in good faith: each is answered in the dialect's form, none with 500; nothing is kept."""

import gc
import json
import random

import psutil
import pytest
from unit.gateway.asgi import JSON, ask, get
from unit.gateway.pipelines import Fake

GOOD = {
    "/v1/embeddings": {"input": ["a"], "model": "embed", "encoding_format": "float", "dimensions": 4, "user": "me"},
    "/embed": {"inputs": "a", "truncate": True, "truncation_direction": "Left", "prompt_name": "", "dimensions": 4},
    "/embed_all": {"inputs": ["a"], "truncate": True},
    "/embed_sparse": {"inputs": ["a"], "truncation_direction": "right"},
    "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}, "parameters": {"truncate": True}},
    "/rerank": {"query": "q", "texts": ["a"], "raw_scores": False, "return_text": True, "top_n": 1},
    "/predict": {"inputs": [["a"], ["b"]], "truncate": True},
    "/v1/rerank": {"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": True},
    "/v2/rerank": {"query": "q", "documents": ["a"], "top_k": 1, "truncation": True, "max_tokens_per_doc": 4096},
    "/v1/ranking": {"query": {"text": "q"}, "passages": [{"text": "a"}], "truncate": "END"},
    "/score": {"text_1": ["a"], "text_2": ["b"], "use_activation": True},
    "/pooling": {"input": ["a"], "model": "tokens", "task": "token_embed", "encoding_format": "base64"},
    "/classify": {"input": ["a"], "model": "classify", "use_activation": True},
    "/v1/embed": {"texts": ["a"], "input_type": "search_query", "truncate": "END"},
    "/v2/embed": {"inputs": [{"content": [{"type": "text", "text": "a"}]}], "embedding_types": ["int8", "ubinary"]},
    "/": {"inputs": "a", "parameters": {"top_k": 1}},
    "/models/entail": {"inputs": [{"text": "a", "text_pair": "b"}], "parameters": {"top_k": 1}},
    "/models/tag": {"inputs": "a b", "parameters": {"aggregation_strategy": "simple", "ignore_labels": ["O"]}},
    "/models/zero-shot": {"inputs": "a", "parameters": {"candidate_labels": ["x"], "multi_label": True}},
    "/models/mask": {"inputs": "[MASK]", "parameters": {"top_k": 2}},
    "/models/question": {"inputs": {"question": "a", "context": "b c"}, "parameters": {"top_k": 1, "doc_stride": 1}},
    "/v1/feature-extraction": {"texts": ["a"], "dimensions": 4, "truncate": "end", "priority": "bulk"},
    "/v1/zero-shot-classification": {"texts": ["a"], "labels": ["x"], "hypothesis_template": "{}"},
}
ODD = [None, True, 0, -1, 10**30, 1.5, 1e300, "", " ", "\x00", "a" * 5000, "😀", "[MASK]", [], [[]], [None], ["a", 1]]
ODD += [{}, {"text": None}, {"text": []}, [{}], {"": ""}, [1, 2], [[1]], [["a", "b", "c"]], {"content": [{}]}, "none"]


def changed(value, chance):
    """A value in which something is another, missing or too much."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        name = chance.choice([*value, "unknown"])
        kept = {key: each for key, each in value.items() if key != name or chance.random() < 0.8}
        return kept | {name: changed(kept.get(name), chance)}
    if isinstance(value, list) and value and chance.random() < 0.6:
        index = chance.randrange(len(value))
        return [*value[:index], changed(value[index], chance), *value[index + 1 :]] * chance.choice([1, 1, 3])
    return chance.choice(ODD)


def hostile(chance):
    """A path, and bytes for it."""
    path = chance.choice(list(GOOD))
    body = GOOD[path]
    for _ in range(chance.choice([1, 1, 2, 4])):
        body = changed(body, chance)
    sent = json.dumps(body).encode()
    if chance.random() < 0.1:  # a byte is another, or the end is missing
        place = chance.randrange(len(sent))
        sent = sent[:place] + chance.choice([b"", bytes([chance.randrange(256)]) + sent[place + 1 :]])
    return path, sent


@pytest.mark.parametrize("seed", range(10))
async def test_none_is_a_fault_of_ours(seed):
    gateway = Fake().gateway
    chance = random.Random(seed)
    statuses = set()
    for _ in range(200):
        path, body = hostile(chance)
        answered = await ask(gateway, "POST", path, body=body, headers=JSON)
        assert answered.status in (200, 400, 404, 422, 424), (path, body, answered.body)
        assert isinstance(answered.json, dict | list)
        assert answered.status != 200 or b"null" not in answered.body  # what is no number would be null
        statuses.add(answered.status)
    assert {200, 400, 422} <= statuses
    assert (await get(gateway, "/live")).status == 200


async def test_nothing_is_kept_of_them():
    fake = Fake()
    chance = random.Random(0)
    counts = []
    for _ in range(3):
        for _ in range(300):
            path, body = hostile(chance)
            await ask(fake.gateway, "POST", path, body=body, headers=JSON)
        fake.requests.clear()
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[2] - counts[1] < 2000
    assert fake.number("in_flight_requests") == 0


MIB = 1 << 20


@pytest.mark.slow  # 25,000 bodies
async def test_20_000_of_them_leave_no_memory_behind():
    """Of what a process takes, by the kernel's count, after as many as it takes to fill what it keeps."""
    fake = Fake()
    chance = random.Random(7)

    async def ask_hostile(count):
        for _ in range(count):
            path, body = hostile(chance)
            answered = await ask(fake.gateway, "POST", path, body=body, headers=JSON)
            assert answered.status in (200, 400, 404, 422, 424), (path, body, answered.body)
            fake.requests.clear()
        gc.collect()
        return psutil.Process().memory_info().rss

    base = await ask_hostile(5_000)
    after = await ask_hostile(20_000)
    print(f"{base / MIB:.1f} MiB before, {after / MIB:.1f} MiB after")
    assert after - base < 8 * MIB
    assert fake.number("in_flight_requests") == 0
