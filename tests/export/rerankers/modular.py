"""Cross-encoders whose scores layers behind the pooling make, as sentence-transformers saves them."""

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling

from export.small_checkpoints import make_checkpoint

WIDTH = 32


def modular(folder, family="bert", *, pooling="cls", labels=1, activation=None, prompts=None):
    """A network, a pooling, a layer, a norm and a layer that makes scores, as ettin-reranker is laid out."""
    network = make_checkpoint(folder / "network", family)
    torch.manual_seed(5)
    norm = LayerNorm(WIDTH)
    torch.nn.init.normal_(norm.norm.weight)
    torch.nn.init.normal_(norm.norm.bias)
    modules = [
        Transformer(str(network)),
        Pooling(WIDTH, pooling),
        Dense(WIDTH, WIDTH, activation_function=torch.nn.GELU()),
        Dropout(0.1),
        norm,
        Dense(WIDTH, labels, activation_function=torch.nn.Identity(), module_output_name="scores"),
    ]
    made = CrossEncoder(modules=modules, device="cpu", activation_fn=activation, prompts=prompts)
    made.save_pretrained(str(folder / "saved"))
    return folder / "saved"
