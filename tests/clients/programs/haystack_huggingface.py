from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.embedders.huggingface_api import HuggingFaceAPIDocumentEmbedder
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker


def embed(url, model, texts):
    embedder = HuggingFaceAPIDocumentEmbedder(
        api_type="text_embeddings_inference", api_params={"url": f"{url}/models/{model}"}, normalize=True,
        token=Secret.from_token("unused"), progress_bar=False,
    )  # fmt: skip
    return [each.embedding for each in embedder.run([Document(content=text) for text in texts])["documents"]]


def rank(url, model, query, documents):
    """It asks `/rerank` of the host, whatever path it is given: the first model that ranks."""
    ranker = HuggingFaceTEIRanker(url=url, top_k=len(documents), token=Secret.from_token("unused"))
    ranked = ranker.run(query=query, documents=[Document(content=text, id=str(i)) for i, text in enumerate(documents)])
    return [[int(each.id), each.score] for each in ranked["documents"]]
