from huggingface_hub import InferenceClient
from langchain_huggingface import HuggingFaceEndpointEmbeddings


def embed(url, model, texts):
    """Of an address it takes no notice, so that it is given its client."""
    embeddings = HuggingFaceEndpointEmbeddings(model=model, huggingfacehub_api_token="unused")
    embeddings.client = InferenceClient(base_url=f"{url}/models/{model}")
    return embeddings.embed_documents(texts)


def leave(url, model, texts):
    embeddings = HuggingFaceEndpointEmbeddings(model=model, huggingfacehub_api_token="unused")
    embeddings.client = InferenceClient(base_url=f"{url}/models/{model}", timeout=0.2)
    return embeddings.embed_documents(texts)
