"""What a client says that its texts are for chooses a prompt, and an adapter with its prompt."""

from dataclasses import replace

import numpy as np
from unit.gateway.asgi import post
from unit.gateway.dialects.vector_rows import rows
from unit.gateway.pipelines import EMBED, PLAIN, vector_of

from encserve_gateway.aliases import Alias


async def test_what_a_client_says_of_its_texts_chooses_the_prompt(fake):
    gateway = fake().gateway
    cases = (
        *(("search_query", "query"), ("retrieval.passage", "document"), ("clustering", "")),
        *(("retrieval_query", "query"), ("SEARCH-QUERY", "query"), ("Retrieval-Passage", "document")),
    )
    for said, prompt in cases:
        for field in ("input_type", "task"):
            answered = await post(gateway, "/v1/embeddings", {"input": "a", "model": "embed", field: said})
            np.testing.assert_array_equal(rows(answered)[0], vector_of("a", prompt_name=prompt))


ROUTES = (("/v1/embeddings", "task"), ("/v1/embeddings", "input_type"), ("/v2/embed", "input_type"))


def saying(path, field, said, model):
    """A request about one text that says something of it."""
    return {"input" if path == "/v1/embeddings" else "texts": ["a"], "model": model} | ({field: said} if said else {})


async def test_what_a_client_says_of_its_texts_chooses_the_adapter_with_its_prompt(fake):
    with_tasks = replace(EMBED, adapters=("retrieval.query", "retrieval.passage", "separation", "text-matching"))
    prompts = ("retrieval_query", "other")
    by_folder = replace(PLAIN, adapters=("retrieval_query", "text_matching"), prompt_names=prompts)
    aliases = (Alias(name="matching", pipeline="embed", adapter="text-matching"),)
    asked = fake(pipelines=(with_tasks, by_folder), aliases=aliases)
    cases = (
        ("embed", "retrieval.passage", "retrieval.passage", "document"),
        ("embed", "search_query", "retrieval.query", "query"),
        ("embed", "clustering", "separation", None),
        ("embed", "CLUSTERING", "separation", None),
        ("embed", "RETRIEVAL_QUERY", "retrieval.query", "query"),
        ("embed", "text-matching", "text-matching", None),
        ("embed", None, None, None),
        ("plain", "query", "retrieval_query", "retrieval_query"),
        ("plain", "retrieval.query", "retrieval_query", "retrieval_query"),
        ("plain", "text-matching", "text_matching", None),
        ("plain", "other", None, "other"),
        ("matching", None, "text-matching", None),
        ("matching", "query", "retrieval.query", "query"),
    )
    for model, said, adapter, prompt in cases:
        for path, field in ROUTES:
            assert (await post(asked.gateway, path, saying(path, field, said, model))).status == 200
            sent = asked.requests[-1].parameters
            assert (sent.get("adapter"), sent.get("prompt_name")) == (adapter, prompt), (model, said, path)


async def test_adapters_of_customers_refuse_no_word(fake):
    asked = fake(pipelines=(replace(PLAIN, adapters=("legal", "medical")),))
    for said, sent in (("legal", {"adapter": "legal"}), ("search_document", {"prompt_name": ""})):
        for path, field in ROUTES:
            assert (await post(asked.gateway, path, saying(path, field, said, "plain"))).status == 200
            parameters = asked.requests[-1].parameters
            assert {name: parameters[name] for name in ("adapter", "prompt_name") if name in parameters} == sent


async def test_a_task_that_is_not_there_is_refused_where_adapters_are_for_tasks(fake):
    with_tasks = replace(EMBED, adapters=("retrieval.query", "text-matching"))
    asked = fake(pipelines=(with_tasks,))
    for path, field in ROUTES:
        for said in ("retreival.query", "classification"):
            refused = await post(asked.gateway, path, saying(path, field, said, "embed"))
            assert refused.status == 400
            told = refused.json["error"]["message"] if path == "/v1/embeddings" else refused.json["message"]
            assert told == f"{field} is {said!r}, this model has retrieval.query, text-matching, query, document"
    assert asked.requests == []
