from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.embedders.cohere import CohereDocumentEmbedder
from haystack_integrations.components.rankers.cohere import CohereRanker


def embed(url, model, texts):
    embedder = CohereDocumentEmbedder(
        model=model, api_base_url=url, api_key=Secret.from_token("unused"), progress_bar=False
    )
    return [each.embedding for each in embedder.run([Document(content=text) for text in texts])["documents"]]


def rank(url, model, query, documents):
    ranker = CohereRanker(model=model, api_base_url=url, api_key=Secret.from_token("unused"), top_k=len(documents))
    ranked = ranker.run(query=query, documents=[Document(content=text, id=str(i)) for i, text in enumerate(documents)])
    return [[int(each.id), each.score] for each in ranked["documents"]]
