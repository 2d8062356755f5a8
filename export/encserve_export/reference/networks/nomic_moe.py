"""Nomic BERT with experts, the network of nomic-embed-text-v2-moe, written down from its published code: NomicBERT of
transformers, with biases, whose feed-forward parts are plain in some layers, and in the others made of experts of whom
a router chooses a few for each token.

transformers has the network without experts alone. The tensors have the names of the published files.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, NomicBertConfig
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import Chunk, ConversionOps, WeightConverter, WeightRenaming
from transformers.models.nomic_bert.modeling_nomic_bert import NomicBertLayer, NomicBertModel, NomicBertPreTrainedModel

from . import NOMIC_MOE


class NomicMoeConfig(NomicBertConfig):  # type: ignore[no-untyped-call]
    """As NomicBERT's, with the experts."""

    model_type = NOMIC_MOE

    num_experts: int = 8
    moe_top_k: int = 2
    """How many experts a token has."""
    moe_every_n_layers: int = 2
    """Layers whose number leaves 1, divided by this, have experts."""
    qkv_proj_bias: bool = True
    """Whether the linear layers of attention have biases, the one behind it too."""
    mlp_fc1_bias: bool = True
    mlp_fc2_bias: bool = True


class _Plain(nn.Module):
    def __init__(self, config: NomicMoeConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.mlp_fc1_bias)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.mlp_fc2_bias)

    def forward(self, states: Tensor) -> Tensor:
        """States (n, t, H) to what is added to them."""
        changed: Tensor = self.fc2(nn.functional.gelu(self.fc1(states)))
        return changed


class _Expert(nn.Module):
    def __init__(self, config: NomicMoeConfig) -> None:
        super().__init__()
        self.w1, self.w2 = (nn.Parameter(torch.zeros(config.intermediate_size, config.hidden_size)) for _ in range(2))

    def forward(self, states: Tensor) -> Tensor:
        """States (n, t, H) to what this expert makes of them."""
        return nn.functional.gelu(nn.functional.linear(states, self.w1)) @ self.w2


class _Experts(nn.ModuleList):
    """Of a layer; what is added once, whoever was chosen, is theirs together."""

    def __init__(self, config: NomicMoeConfig) -> None:
        super().__init__(_Expert(config) for _ in range(config.num_experts))
        self.bias = nn.Parameter(torch.zeros(config.hidden_size))


class _Mixed(nn.Module):
    def __init__(self, config: NomicMoeConfig) -> None:
        super().__init__()
        self.chosen = config.moe_top_k
        self.router = nn.ModuleDict({"layer": nn.Linear(config.hidden_size, config.num_experts, bias=False)})
        self.experts = _Experts(config)

    def shares(self, states: Tensor) -> Tensor:
        """How much each token takes of each expert: (n, t, H) to (n, t, experts), 0 of those that are not chosen."""
        likely = self.router["layer"](states).softmax(-1)
        shares, chosen = likely.topk(self.chosen, dim=-1)  # (n, t, k)
        by_expert = chosen[..., None] == torch.arange(likely.shape[-1], device=chosen.device)  # (n, t, k, experts)
        return torch.where(by_expert, shares[..., None], 0.0).sum(-2)

    def forward(self, states: Tensor) -> Tensor:
        """States (n, t, H) to what is added to them.

        Every token goes through every expert, so that all shapes are the same whatever is chosen, and a token's numbers
        are made alike in any company.
        """
        shares = self.shares(states)
        mixed = torch.zeros_like(states)
        for number, expert in enumerate(self.experts):
            share = shares[..., number : number + 1]  # (n, t, 1)
            # Not share * made alone: an expert that never saw such tokens may give infinity for them in fp16.
            mixed = mixed + torch.where(share > 0, share * expert(states), 0.0)
        return mixed + self.experts.bias


class _Layer(NomicBertLayer):  # type: ignore[no-untyped-call]
    def __init__(self, config: NomicMoeConfig, number: int) -> None:
        super().__init__(config)
        hidden, attention = config.hidden_size, self.self_attn
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(attention, name, nn.Linear(hidden, hidden, bias=config.qkv_proj_bias))
        mixed = number % config.moe_every_n_layers == 1
        self.mlp = _Mixed(config) if mixed else _Plain(config)  # type: ignore[assignment]


class NomicMoePreTrainedModel(NomicBertPreTrainedModel):  # type: ignore[no-untyped-call]
    """What all of its classes share."""

    config_class = NomicMoeConfig
    config: NomicMoeConfig
    _can_record_outputs: dict[str, Any] = {}  # noqa: RUF012  nobody asks for them


class NomicMoeModel(NomicMoePreTrainedModel, NomicBertModel):  # type: ignore[no-untyped-call]
    """The encoder: ids int64 (n, t) to states float32 (n, t, H)."""

    def __init__(self, config: NomicMoeConfig) -> None:
        super().__init__(config)
        self.layers = nn.ModuleList(_Layer(config, number) for number in range(config.num_hidden_layers))
        self.post_init()  # type: ignore[no-untyped-call]


class _ByExpert(ConversionOps):
    """The matrices of all experts, which the files hold below each other in one, each by itself."""

    def convert(
        self, input_dict: dict[str, Any], source_patterns: list[str], target_patterns: list[str], **known: Any
    ) -> dict[str, Any]:
        """That of the first expert is what the pattern names; those of the others are named likewise."""
        ((together,),) = input_dict.values()
        parts = together.chunk(known["config"].num_experts)
        return {target_patterns[0].replace(".0.", f".{number}."): part for number, part in enumerate(parts)}


register_checkpoint_conversion_mapping(
    NOMIC_MOE,
    [
        WeightRenaming(r"encoder.layers", r"layers"),
        WeightRenaming(r"emb_ln", r"embeddings.LayerNorm"),
        WeightRenaming(r"attn.out_proj", r"self_attn.o_proj"),
        WeightRenaming(r"norm1", r"post_attention_layernorm"),
        WeightRenaming(r"norm2", r"post_mlp_layernorm"),
        WeightConverter(
            source_patterns=["attn.Wqkv"],
            target_patterns=["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
            operations=[Chunk(dim=0)],
        ),
        *(
            WeightConverter(
                source_patterns=[f"experts.mlp.{name}"],
                target_patterns=[f"experts.0.{name}"],
                operations=[_ByExpert()],
            )
            for name in ("w1", "w2")
        ),
    ],
)
AutoConfig.register(NOMIC_MOE, NomicMoeConfig)
AutoModel.register(NomicMoeConfig, NomicMoeModel)
