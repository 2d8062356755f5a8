from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference


def embed(url, model, texts, **options):
    embedding = TextEmbeddingsInference(model_name=model, base_url=f"{url}/models/{model}", **options)
    return embedding.get_text_embedding_batch(texts)


def rank(url, model, query, documents):
    reranker = TextEmbeddingInference(base_url=f"{url}/models/{model}", top_n=len(documents))
    nodes = [NodeWithScore(node=TextNode(text=text, id_=str(index))) for index, text in enumerate(documents)]
    ranked = reranker.postprocess_nodes(nodes, QueryBundle(query))
    return [[int(each.node.id_), each.score] for each in ranked]


def leave(url, model, texts):
    return embed(url, model, texts, timeout=0.2, embed_batch_size=2_048)
