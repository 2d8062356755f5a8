import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"  # or it asks the internet for prices first

import litellm

litellm.suppress_debug_info = True


def embed(url, model, texts, provider="openai", **options):
    answer = litellm.embedding(f"{provider}/{model}", input=texts, api_base=f"{url}/v1", api_key="unused", **options)
    assert [each["index"] for each in answer.data] == list(range(len(texts)))
    return [each["embedding"] for each in answer.data]


def embed_hosted_vllm(url, model, texts):
    return embed(url, model, texts, provider="hosted_vllm")


def embed_infinity(url, model, texts):
    return embed(url, model, texts, provider="infinity")


def embed_cohere(url, model, texts):
    answer = litellm.embedding(
        f"cohere/{model}", input=texts, api_base=f"{url}/v2/embed", api_key="unused", input_type="search_document"
    )
    return [each["embedding"] for each in answer.data]


def rank(url, model, query, documents, provider="hosted_vllm", path="/v1", **options):
    answer = litellm.rerank(
        f"{provider}/{model}", query=query, documents=documents, api_base=f"{url}{path}", api_key="unused", **options
    )
    return [[each["index"], each["relevance_score"]] for each in answer.results]


def rank_cohere(url, model, query, documents):
    return rank(url, model, query, documents, provider="cohere", path="")


def rank_jina(url, model, query, documents):
    return rank(url, model, query, documents, provider="jina_ai", path="")


def rank_infinity(url, model, query, documents):
    return rank(url, model, query, documents, provider="infinity", path="", return_documents=False)


def rank_huggingface(url, model, query, documents):
    return rank(url, model, query, documents, provider="huggingface", path=f"/models/{model}")


def rank_nvidia_nim(url, model, query, documents):
    return rank(url, model, query, documents, provider="nvidia_nim", path="")


def rank_voyage(url, model, query, documents):
    return rank(url, model, query, documents, provider="voyage", path="/v1/rerank")


def leave(url, model, texts):
    return embed(url, model, texts, timeout=0.2, max_retries=0)
