from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank


def rank(url, model, query, documents):
    reranker = CohereRerank(api_key="unused", model=model, top_n=len(documents), base_url=url)
    nodes = [NodeWithScore(node=TextNode(text=text, id_=str(index))) for index, text in enumerate(documents)]
    return [[int(each.node.id_), each.score] for each in reranker.postprocess_nodes(nodes, QueryBundle(query))]
