from langchain_cohere import CohereEmbeddings, CohereRerank


def embed(url, model, texts):
    return CohereEmbeddings(model=model, base_url=url, cohere_api_key="unused", user_agent="test").embed_documents(
        texts
    )


def rank(url, model, query, documents):
    reranker = CohereRerank(model=model, base_url=url, cohere_api_key="unused", top_n=len(documents))
    return [[each["index"], each["relevance_score"]] for each in reranker.rerank(documents, query)]
