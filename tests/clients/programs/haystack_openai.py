from haystack import Document
from haystack.components.embedders import OpenAIDocumentEmbedder
from haystack.utils import Secret


def embed(url, model, texts, **options):
    key = Secret.from_token("unused")
    settings = {"api_base_url": f"{url}/v1", "api_key": key, "progress_bar": False, "raise_on_failure": True, **options}
    embedder = OpenAIDocumentEmbedder(model=model, **settings)
    return [each.embedding for each in embedder.run([Document(content=text) for text in texts])["documents"]]


def leave(url, model, texts):
    return embed(url, model, texts, timeout=0.2, max_retries=0, batch_size=2_048)
