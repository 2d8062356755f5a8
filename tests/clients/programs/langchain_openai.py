from langchain_openai import OpenAIEmbeddings


def embed(url, model, texts, **options):
    settings = {"base_url": f"{url}/v1", "api_key": "unused", "check_embedding_ctx_length": False}
    return OpenAIEmbeddings(model=model, **{**settings, **options}).embed_documents(texts)


def embed_by_ids_of_tokens(url, model, texts):
    """As it is by default: it sends the ids that tiktoken gives the texts."""
    return embed(url, model, texts, check_embedding_ctx_length=True)


def leave(url, model, texts):
    return embed(url, model, texts, timeout=0.2, max_retries=0)
