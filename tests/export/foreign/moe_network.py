"""Nomic BERT with experts written down from its published code a second time, in plain torch functions: one text, one
token after the other through the experts that it chose and no others, no classes of transformers. It works on the
tensors under the names of the published files."""

import json
import math

import torch
import transformers
from safetensors.torch import save_file
from torch.nn import functional

CONFIG = {
    "activation_function": "gelu",
    "architectures": ["NomicBertModel"],
    "attn_pdrop": 0.0,
    "auto_map": {
        "AutoConfig": "nomic-ai/nomic-bert-2048--configuration_hf_nomic_bert.NomicBertConfig",
        "AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel",
    },
    "bos_token_id": None,
    "causal": False,
    "dense_seq_output": True,
    "embd_pdrop": 0.0,
    "eos_token_id": None,
    "expert_choice_router": False,
    "ffn_div": 1,
    "fused_bias_fc": True,
    "fused_dropout_add_ln": True,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "max_trained_positions": 2048,
    "mlp_fc1_bias": True,
    "mlp_fc2_bias": True,
    "model_type": "nomic_bert",
    "moe_every_n_layers": 2,
    "moe_impl": "megablocks",
    "moe_normalize_expert_weights": False,
    "moe_top_k": 2,
    "n_embd": 32,
    "n_head": 4,
    "n_inner": 48,
    "n_layer": 2,
    "n_positions": 2048,
    "num_experts": 8,
    "num_shared_experts": 0,
    "pad_token_id": 1,
    "pad_vocab_size_multiple": 64,
    "parallel_block": False,
    "parallel_block_tied_norm": False,
    "prenorm": False,
    "qkv_proj_bias": True,
    "reorder_and_upcast_attn": False,
    "resid_pdrop": 0.0,
    "rotary_emb_base": 10000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "summary_activation": None,
    "summary_first_dropout": 0.0,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "type_vocab_size": 1,
    "use_cache": True,
    "use_flash_attn": True,
    "use_rms_norm": False,
    "use_xentropy": True,
}


@torch.inference_mode()
def states_of(tensors, config, ids):
    """States (t, H) of one text."""

    def linear(name, states):
        return functional.linear(states, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))

    def norm(name, states):
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return functional.layer_norm(states, weight.shape, weight, bias, config["layer_norm_epsilon"])

    words, types = (tensors[f"embeddings.{name}_embeddings.weight"] for name in ("word", "token_type"))
    states = norm("emb_ln", words[ids] + types[0])
    heads = config["n_head"]
    for number in range(config["n_layer"]):
        layer = f"encoder.layers.{number}"
        q, k, v = (
            part.view(len(ids), heads, -1).transpose(0, 1)  # (heads, t, d)
            for part in linear(f"{layer}.attn.Wqkv", states).chunk(3, dim=-1)
        )
        q, k = (_turned(each, config["rotary_emb_base"]) for each in (q, k))
        weights = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(-1)
        mixed = (weights @ v).transpose(0, 1).reshape(len(ids), -1)
        states = norm(f"{layer}.norm1", linear(f"{layer}.attn.out_proj", mixed) + states)
        if number % config["moe_every_n_layers"] == 1:
            changed = torch.stack([_by_experts(tensors, config, f"{layer}.mlp", token) for token in states])
        else:
            changed = linear(f"{layer}.mlp.fc2", functional.gelu(linear(f"{layer}.mlp.fc1", states)))
        states = norm(f"{layer}.norm2", changed + states)
    return states


def chosen_by(tensors, layer, token, count):
    """The experts of a token (H,), as pairs of share and number, the one with the largest share first."""
    likely = (tensors[f"{layer}.router.layer.weight"] @ token).softmax(0)
    return sorted(((float(share), number) for number, share in enumerate(likely)), reverse=True)[:count]


def _by_experts(tensors, config, layer, token):
    inner = config["n_inner"]
    made = torch.zeros_like(token)
    for share, number in chosen_by(tensors, layer, token, config["moe_top_k"]):
        w1, w2 = (
            tensors[f"{layer}.experts.mlp.{name}"][number * inner : (number + 1) * inner] for name in ("w1", "w2")
        )
        made += share * (functional.gelu(w1 @ token) @ w2)
    return made + tensors[f"{layer}.experts.bias"]


def _turned(states, base):
    """States (heads, t, d) by the place of each token; the first half of d goes with the second."""
    half = states.shape[-1] // 2
    places = torch.arange(states.shape[1])[:, None]
    angles = places / base ** (torch.arange(half) / half)  # (t, d / 2)
    first, second = states[..., :half], states[..., half:]
    return torch.cat(
        [first * angles.cos() - second * angles.sin(), second * angles.cos() + first * angles.sin()], dim=-1
    )


def write_moe(folder, tokenizer_from, *, sure=1.0, **changes):
    """Write a checkpoint of random weights with the tokenizer of another; returns its tensors and its configuration.
    The larger `sure` is, the less the shares of experts that are not chosen."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_from)
    config = CONFIG | {"vocab_size": len(tokenizer)} | changes
    hidden, inner, experts = config["n_embd"], config["n_inner"], config["num_experts"]
    shapes = {
        "embeddings.word_embeddings.weight": (len(tokenizer), hidden),
        "embeddings.token_type_embeddings.weight": (1, hidden),
        "emb_ln": (hidden,),
    }
    for number in range(config["n_layer"]):
        layer = f"encoder.layers.{number}."
        shapes |= {f"{layer}attn.Wqkv": (3 * hidden, hidden), f"{layer}attn.out_proj": (hidden, hidden)}
        shapes |= {f"{layer}norm1": (hidden,), f"{layer}norm2": (hidden,)}
        if number % config["moe_every_n_layers"] == 1:
            shapes |= {
                f"{layer}mlp.router.layer.weight": (experts, hidden),
                f"{layer}mlp.experts.mlp.w1": (experts * inner, hidden),
                f"{layer}mlp.experts.mlp.w2": (experts * inner, hidden),
                f"{layer}mlp.experts.bias": (hidden,),
            }
        else:
            shapes |= {f"{layer}mlp.fc1": (inner, hidden), f"{layer}mlp.fc2": (hidden, inner)}
    torch.manual_seed(6)
    tensors = {}
    for name, shape in shapes.items():
        if name.endswith((".weight", ".w1", ".w2", ".bias")):
            tensors[name] = torch.randn(shape) * 0.4
            continue
        tensors[f"{name}.weight"] = torch.randn(shape) * 0.3 + (len(shape) == 1)
        tensors[f"{name}.bias"] = torch.randn(shape[:1]) * 0.3
    for name in tensors:
        if ".router." in name:
            tensors[name] *= sure
    for key, names in (("qkv_proj_bias", ("Wqkv", "out_proj")), ("mlp_fc1_bias", ("fc1",)), ("mlp_fc2_bias", ("fc2",))):
        for name in [] if config[key] else [each for each in tensors if each.split(".")[-2] in names]:
            if name.endswith(".bias"):
                del tensors[name]
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer.save_pretrained(folder)
    return tensors, config
