"""`new` of Alibaba-NLP written down from its published code, in plain torch: one text, no packing, no transformers. It
holds the tensors under the names of the published files."""

import json

import torch
import transformers
from safetensors.torch import save_file
from torch import nn

CONFIG = {
    "model_type": "new",
    "architectures": ["NewModel"],
    "auto_map": {
        "AutoConfig": "Alibaba-NLP/new-impl--configuration.NewConfig",
        "AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel",
    },
    "attention_probs_dropout_prob": 0.0,
    "classifier_dropout": 0.0,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 48,
    "layer_norm_eps": 1e-12,
    "layer_norm_type": "layer_norm",
    "logn_attention_clip1": False,
    "logn_attention_scale": False,
    "max_position_embeddings": 8192,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "pack_qkv": True,
    "pad_token_id": 0,
    "position_embedding_type": "rope",
    "rope_scaling": {"factor": 2.0, "type": "ntk"},
    "rope_theta": 500,
    "type_vocab_size": 0,
    "unpad_inputs": False,
    "use_memory_efficient_attention": False,
}


class NewLayer(nn.Module):
    """Post-norm; queries, keys and values in one matrix, the feed-forward part gated by GELU."""

    def __init__(self, config):
        super().__init__()
        hidden, inner, eps = config["hidden_size"], config["intermediate_size"], config["layer_norm_eps"]
        self.heads = config["num_attention_heads"]
        self.attention = nn.ModuleDict({"qkv_proj": nn.Linear(hidden, 3 * hidden), "o_proj": nn.Linear(hidden, hidden)})
        self.mlp = nn.ModuleDict(
            {"up_gate_proj": nn.Linear(hidden, 2 * inner, bias=False), "down_proj": nn.Linear(inner, hidden)}
        )
        self.attn_ln, self.mlp_ln = nn.LayerNorm(hidden, eps), nn.LayerNorm(hidden, eps)

    def forward(self, states, cos, sin):  # (t, H), (t, d), (t, d)
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(0, 1)  # (heads, t, d)
            for part in self.attention["qkv_proj"](states).chunk(3, dim=-1)
        )
        q, k = (each * cos + _half_turned(each) * sin for each in (q, k))
        weights = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1)
        mixed = (weights @ v).transpose(0, 1).flatten(1)
        states = self.attn_ln(states + self.attention["o_proj"](mixed))
        up, gate = self.mlp["up_gate_proj"](states).chunk(2, dim=-1)
        return self.mlp_ln(states + self.mlp["down_proj"](nn.functional.gelu(gate) * up))


class NewNetwork(nn.Module):
    """Token ids (t,) to states (t, H), and to the logits of a head where there are labels."""

    def __init__(self, config, vocabulary, labels=0):
        super().__init__()
        hidden = config["hidden_size"]
        self.config = config
        self.embeddings = nn.ModuleDict({"word_embeddings": nn.Embedding(vocabulary, hidden)})
        if config["type_vocab_size"]:
            self.embeddings["token_type_embeddings"] = nn.Embedding(config["type_vocab_size"], hidden)
        self.embeddings["LayerNorm"] = nn.LayerNorm(hidden, config["layer_norm_eps"])
        layers = nn.ModuleList(NewLayer(config) for _ in range(config["num_hidden_layers"]))
        self.encoder = nn.ModuleDict({"layer": layers})
        if labels:
            self.pooler = nn.ModuleDict({"dense": nn.Linear(hidden, hidden)})
            self.classifier = nn.Linear(hidden, labels)

    @torch.inference_mode()
    def forward(self, ids):
        states = self.embeddings["word_embeddings"](ids)
        if "token_type_embeddings" in self.embeddings:
            states = states + self.embeddings["token_type_embeddings"](torch.zeros_like(ids))
        states = self.embeddings["LayerNorm"](states)
        cos, sin = self._angles(len(ids))
        for layer in self.encoder["layer"]:
            states = layer(states, cos, sin)
        return states

    @torch.inference_mode()
    def logits(self, ids):
        return self.classifier(self.pooler["dense"](self(ids)[0]).tanh())

    def _angles(self, length):
        width = self.config["hidden_size"] // self.config["num_attention_heads"]
        scaling = self.config["rope_scaling"] or {"factor": 1.0}
        base = self.config["rope_theta"] * scaling["factor"]
        frequencies = base ** (-torch.arange(0, width, 2) / width) / scaling["factor"] ** (2 / width)
        angles = torch.outer(torch.arange(length), frequencies).repeat(1, 2)
        return angles.cos(), angles.sin()


def _half_turned(states):
    first, second = states.chunk(2, dim=-1)
    return torch.cat([-second, first], -1)


def write_new(folder, tokenizer_from, *, labels=0, **changes):
    """Write a checkpoint of random weights, as it is published, with the tokenizer of another; returns its network."""
    config = CONFIG | changes
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_from)
    torch.manual_seed(3)
    network = NewNetwork(config, len(tokenizer), labels)
    for name, parameter in network.named_parameters():
        nn.init.normal_(parameter, mean=float("ln.w" in name or "Norm.w" in name), std=0.3)
    parameters = network.state_dict()
    config |= {"vocab_size": len(tokenizer)}
    if labels:
        config |= {"architectures": ["NewForSequenceClassification"], "num_labels": labels}
    folder.mkdir()
    prefixed = {name: name if name.startswith("classifier") or not labels else f"new.{name}" for name in parameters}
    tensors = {prefixed[name]: tensor for name, tensor in parameters.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer.save_pretrained(folder)
    return network.eval()
