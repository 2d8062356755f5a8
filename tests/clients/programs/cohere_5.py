import cohere


def embed(url, model, texts):
    with cohere.Client(api_key="unused", base_url=url) as client:  # which cuts lists into pieces of 96
        return client.embed(model=model, input_type="search_document", texts=texts).embeddings


def embed_version_2(url, model, texts):
    with cohere.ClientV2(api_key="unused", base_url=url) as client:
        answer = client.embed(model=model, input_type="search_document", texts=texts, embedding_types=["float"])
        return answer.embeddings.float_


def rank(url, model, query, documents):
    with cohere.ClientV2(api_key="unused", base_url=url) as client:
        answer = client.rerank(model=model, query=query, documents=documents)
        return [[each.index, each.relevance_score] for each in answer.results]


def leave(url, model, texts):
    with cohere.ClientV2(api_key="unused", base_url=url, timeout=0.2) as client:
        return client.embed(
            model=model, input_type="search_document", texts=texts, embedding_types=["float"]
        ).embeddings
