from llama_index.embeddings.openai_like import OpenAILikeEmbedding


def embed(url, model, texts, **options):
    embedding = OpenAILikeEmbedding(
        model_name=model, api_base=f"{url}/v1", api_key="unused", embed_batch_size=64, **options
    )
    return embedding.get_text_embedding_batch(texts)


def leave(url, model, texts):
    embedding = OpenAILikeEmbedding(
        model_name=model, api_base=f"{url}/v1", api_key="unused", embed_batch_size=2_048, timeout=0.2, max_retries=0
    )
    return embedding.get_text_embedding_batch(texts)
