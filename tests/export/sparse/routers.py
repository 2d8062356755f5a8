"""Sparse encoders whose queries a table answers, as sentence-transformers saves them: a Router with a
SparseStaticEmbedding for queries, and a masked language model with SpladePooling for documents."""

import json

import torch
import transformers
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

from export.small_checkpoints import make_checkpoint


def routed(folder, family="distilbert", *, activation="log1p_relu", prompts=None, query_length=None, route="document"):
    """Such an encoder of random weights. Of the words of queries some weigh nothing, and some less than nothing."""
    network = make_checkpoint(folder / "network", family, network=transformers.AutoModelForMaskedLM)
    tokenizer = transformers.AutoTokenizer.from_pretrained(network)
    if query_length:
        tokenizer.model_max_length = query_length
    torch.manual_seed(7)
    weights = torch.randn(len(tokenizer)) * (torch.rand(len(tokenizer)) > 0.3)
    table = SparseStaticEmbedding(tokenizer, weight=weights, frozen=True)
    documents = [
        Transformer(str(network), transformer_task="fill-mask"),
        SpladePooling("max", activation_function=activation),
    ]
    router = Router.for_query_document([table], documents, default_route=route)
    made = SparseEncoder(modules=[router], device="cpu", prompts=prompts)
    made.save_pretrained(str(folder / "saved"), create_model_card=False)
    return folder / "saved"


def change(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
