"""JinaBERT v2 written down from its published code a second time, in plain torch functions: one text, no masks, no
classes of transformers. It works on the tensors under the names of the published files. Of its two kinds, that of
jina-embeddings-v2-base-code has `jina-bert-v2-qk-post-norm` in its configuration."""

import json
import math

import torch
import transformers
from safetensors.torch import save_file
from torch.nn import functional

CONFIG = {
    "_name_or_path": "jinaai/jina-bert-implementation",
    "model_max_length": 8192,
    "architectures": ["JinaBertForMaskedLM"],
    "attention_probs_dropout_prob": 0.0,
    "auto_map": {"AutoModel": "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"},
    "classifier_dropout": None,
    "gradient_checkpointing": False,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 48,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 8192,
    "model_type": "bert",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "position_embedding_type": "alibi",
    "type_vocab_size": 2,
    "use_cache": True,
    "feed_forward_type": "geglu",
    "emb_pooler": "mean",
}

OF_CODE = {
    "_name_or_path": "jinaai/jina-bert-v2-qk-post-norm",
    "auto_map": {"AutoModel": "jinaai/jina-bert-v2-qk-post-norm--modeling_bert.JinaBertModel"},
}
"""What the configuration of jina-embeddings-v2-base-code has in their place."""


def states_of(tensors, config, ids, prefix="", types=0):
    """States (t, H) of one text, or of a pair with its token types (t,)."""

    def linear(name, states):
        return functional.linear(states, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))

    def norm(name, states):
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return functional.layer_norm(states, weight.shape, weight, bias, config["layer_norm_eps"])

    words, table = (tensors[f"{prefix}embeddings.{name}_embeddings.weight"] for name in ("word", "token_type"))
    states = norm(f"{prefix}embeddings.LayerNorm", words[ids] + table[types])
    of_code = config["_name_or_path"] == OF_CODE["_name_or_path"]
    heads, inner = config["num_attention_heads"], config["intermediate_size"]
    places = torch.arange(len(ids))
    falls = torch.tensor(_slopes(heads))[:, None, None] * (places[:, None] - places[None, :]).abs()
    for number in range(config["num_hidden_layers"]):
        layer = f"{prefix}encoder.layer.{number}"
        q, k, v = (linear(f"{layer}.attention.self.{name}", states) for name in ("query", "key", "value"))
        if of_code:
            q, k = norm(f"{layer}.attention.self.layer_norm_q", q), norm(f"{layer}.attention.self.layer_norm_k", k)
        q, k, v = (each.view(len(ids), heads, -1).transpose(0, 1) for each in (q, k, v))
        weights = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]) - falls).softmax(-1)
        mixed = (weights @ v).transpose(0, 1).reshape(len(ids), -1)
        added = norm(f"{layer}.attention.output.LayerNorm", linear(f"{layer}.attention.output.dense", mixed) + states)
        if of_code:
            states = norm(f"{layer}.layer_norm_1", states + added)
            wide = linear(f"{layer}.mlp.up_gated_layer", states)
            gated = wide[:, :inner] * functional.gelu(wide[:, inner:])
            states = norm(f"{layer}.layer_norm_2", states + linear(f"{layer}.mlp.down_layer", gated))
            continue
        states = added
        wide = linear(f"{layer}.mlp.gated_layers", states)
        gated = functional.gelu(wide[:, :inner]) * wide[:, inner:]
        states = norm(f"{layer}.mlp.layernorm", linear(f"{layer}.mlp.wo", gated) + states)
    return states


def logits_of(tensors, config, ids, types):
    """Logits (labels,) of a pair."""
    first = states_of(tensors, config, ids, "bert.", types)[0]
    pooled = torch.tanh(
        functional.linear(first, tensors["bert.pooler.dense.weight"], tensors["bert.pooler.dense.bias"])
    )
    return functional.linear(pooled, tensors["classifier.weight"], tensors["classifier.bias"])


def _slopes(heads):
    """As the code that ALiBi was published with computes them."""

    def of_power(count):
        start = 2 ** (-(2 ** -(math.log2(count) - 3)))
        return [start * start**index for index in range(count)]

    if math.log2(heads).is_integer():
        return of_power(heads)
    closest = 2 ** math.floor(math.log2(heads))
    return of_power(closest) + _slopes(2 * closest)[0::2][: heads - closest]


def write_jina(folder, tokenizer_from, *, labels=0, masked=False, **changes):
    """Write a checkpoint of random weights with the tokenizer of another; returns its tensors and its configuration."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_from)
    config = CONFIG | {"vocab_size": len(tokenizer)} | changes
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (len(tokenizer), hidden),
        "embeddings.token_type_embeddings.weight": (2, hidden),
        "embeddings.LayerNorm": (hidden,),
    }
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}."
        shapes |= {f"{layer}attention.self.{name}": (hidden, hidden) for name in ("query", "key", "value")}
        shapes |= {f"{layer}attention.output.dense": (hidden, hidden), f"{layer}attention.output.LayerNorm": (hidden,)}
        if config["_name_or_path"] == OF_CODE["_name_or_path"]:
            shapes |= {f"{layer}attention.self.layer_norm_{name}": (hidden,) for name in "qk"}
            shapes |= {f"{layer}layer_norm_{number}": (hidden,) for number in (1, 2)}
            shapes |= {
                f"{layer}mlp.up_gated_layer.weight": (2 * inner, hidden),
                f"{layer}mlp.down_layer": (hidden, inner),
            }
            continue
        shapes |= {f"{layer}mlp.gated_layers.weight": (2 * inner, hidden), f"{layer}mlp.wo": (hidden, inner)}
        shapes[f"{layer}mlp.layernorm"] = (hidden,)
    prefix = "bert." if labels or masked else ""
    shapes = {prefix + name: shape for name, shape in shapes.items()}
    if labels:
        config |= {"architectures": ["JinaBertForSequenceClassification"], "num_labels": labels}
        shapes |= {"bert.pooler.dense": (hidden, hidden), "classifier": (labels, hidden)}
    if masked:
        shapes |= {
            "cls.predictions.transform.dense": (hidden, hidden),
            "cls.predictions.transform.LayerNorm": (hidden,),
            "cls.predictions.decoder": (len(tokenizer), hidden),
            "cls.predictions.bias.weight": (len(tokenizer),),
        }
    torch.manual_seed(4)
    tensors = {}
    for name, shape in shapes.items():
        if name.endswith(".weight"):
            tensors[name] = torch.randn(shape) * 0.4
            continue
        tensors[f"{name}.weight"] = torch.randn(shape) * 0.3 + (len(shape) == 1)
        tensors[f"{name}.bias"] = torch.randn(shape[:1]) * 0.3
    if masked:
        tensors["cls.predictions.bias"] = tensors.pop("cls.predictions.bias.weight")
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer.save_pretrained(folder)
    return tensors, config
