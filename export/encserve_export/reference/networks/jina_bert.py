"""JinaBERT v2, the network of jina-embeddings-v2 and of the jina-reranker-v1 family, written down from its published
code: BERT with post-norm, ALiBi to both sides in place of positions, and a feed-forward part that is gated by GELU.

transformers never had it. The tensors have the names of the published files.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling, MaskedLMOutput, SequenceClassifierOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.bert.modeling_bert import BertOnlyMLMHead, BertPooler

from . import JINA_BERT_V2


class JinaBertV2Config(BertConfig):  # type: ignore[no-untyped-call]
    """As BERT's; what positions and feed-forward parts are is not for a configuration to say."""

    model_type = JINA_BERT_V2

    qk_norm: bool = False
    """Whether it is the kind of jina-embeddings-v2-base-code: queries and keys are normed, as wide as all heads
    together, a layer has one norm more, and its gate is the second half of the wide layer."""


def slopes_of(heads: int) -> list[float]:
    """How fast the scores of each head fall with distance (Press et al. 2022); where `heads` is no power of two, those
    of the power below, and every second of the power above."""
    below = 2 ** math.floor(math.log2(heads))
    first = 2.0 ** -(8 / below)
    slopes = [first ** (number + 1) for number in range(below)]
    return slopes if below == heads else slopes + slopes_of(2 * below)[0::2][: heads - below]


def _eager(
    module: nn.Module,
    query: Tensor,  # (n, heads, t, d)
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # (n, 1, 1, t), added to the scores
    *,
    scaling: float,
    position_bias: Tensor,  # (1, heads, t, t)
    **_: Any,
) -> tuple[Tensor, None]:
    scores = query @ key.transpose(2, 3) * scaling + position_bias
    if attention_mask is not None:
        scores = scores + attention_mask
    return (scores.softmax(-1) @ value).transpose(1, 2), None


def _norm(config: JinaBertV2Config) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, config.layer_norm_eps)


class _SelfAttention(nn.Module):
    def __init__(self, config: JinaBertV2Config) -> None:
        super().__init__()
        self.config, self.heads = config, config.num_attention_heads
        self.query, self.key, self.value = (nn.Linear(config.hidden_size, config.hidden_size) for _ in range(3))
        self.layer_norm_q, self.layer_norm_k = (_norm(config) if config.qk_norm else nn.Identity() for _ in range(2))

    def forward(self, states: Tensor, mask: Tensor | None, bias: Tensor) -> Tensor:
        """States (n, t, H) to what the heads took, (n, t, H)."""
        rows = (self.layer_norm_q(self.query(states)), self.layer_norm_k(self.key(states)), self.value(states))
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in rows)
        attend: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, _eager)
        taken, _weights = attend(self, q, k, v, mask, scaling=q.shape[-1] ** -0.5, position_bias=bias)
        return taken.flatten(2)  # type: ignore[no-any-return]


class _Added(nn.Module):
    def __init__(self, config: JinaBertV2Config) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = _norm(config)


class _Gated(nn.Module):
    def __init__(self, config: JinaBertV2Config) -> None:
        super().__init__()
        self.gated_layers = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.wo = nn.Linear(config.intermediate_size, config.hidden_size)
        self.layernorm = _norm(config)

    def forward(self, states: Tensor) -> Tensor:
        """States (n, t, H) to states of the same shape, the first half of the wide layer through GELU."""
        gate, plain = self.gated_layers(states).chunk(2, dim=-1)
        normed: Tensor = self.layernorm(self.wo(nn.functional.gelu(gate) * plain) + states)
        return normed


class _Layer(nn.Module):
    def __init__(self, config: JinaBertV2Config) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": _SelfAttention(config), "output": _Added(config)})
        self.mlp = _Gated(config)

    def forward(self, states: Tensor, mask: Tensor | None, bias: Tensor) -> Tensor:
        """States (n, t, H) to the next ones."""
        output: Any = self.attention["output"]
        mixed = output.dense(self.attention["self"](states, mask, bias))
        return self.mlp(output.LayerNorm(mixed + states))  # type: ignore[no-any-return]


class _GatedBySecond(nn.Module):
    def __init__(self, config: JinaBertV2Config) -> None:
        super().__init__()
        self.up_gated_layer = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down_layer = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        """States (n, t, H) to what is added to them, the second half of the wide layer through GELU."""
        plain, gate = self.up_gated_layer(states).chunk(2, dim=-1)
        changed: Tensor = self.down_layer(plain * nn.functional.gelu(gate))
        return changed


class _LayerOfCode(nn.Module):
    def __init__(self, config: JinaBertV2Config) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": _SelfAttention(config), "output": _Added(config)})
        self.layer_norm_1, self.layer_norm_2 = _norm(config), _norm(config)
        self.mlp = _GatedBySecond(config)

    def forward(self, states: Tensor, mask: Tensor | None, bias: Tensor) -> Tensor:
        """States (n, t, H) to the next ones. What attention gives is added to the states twice, with a norm each."""
        output: Any = self.attention["output"]
        mixed = output.LayerNorm(output.dense(self.attention["self"](states, mask, bias)) + states)
        states = self.layer_norm_1(states + mixed)
        return self.layer_norm_2(states + self.mlp(states))  # type: ignore[no-any-return]


class _Embeddings(nn.Module):
    def __init__(self, config: JinaBertV2Config) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = _norm(config)


class JinaBertV2PreTrainedModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """What all of its classes share."""

    config_class = JinaBertV2Config
    config: JinaBertV2Config
    base_model_prefix = "bert"
    _supports_attention_backend = True


class JinaBertV2Model(JinaBertV2PreTrainedModel):  # type: ignore[no-untyped-call]
    """The encoder: ids int64 (n, t) to states float32 (n, t, H)."""

    def __init__(self, config: JinaBertV2Config, add_pooling_layer: bool = False) -> None:
        super().__init__(config)
        self.embeddings = _Embeddings(config)
        kind = _LayerOfCode if config.qk_norm else _Layer
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(kind(config) for _ in range(config.num_hidden_layers))})
        self.pooler = BertPooler(config) if add_pooling_layer else None  # type: ignore[no-untyped-call]
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of words."""
        return self.embeddings.word_embeddings

    def slopes(self) -> Tensor:
        """How fast the scores of each head fall with distance: (heads,)."""
        return torch.tensor(slopes_of(self.config.num_attention_heads))

    def position_bias(self, length: int) -> Tensor:
        """What is added to the scores of texts of `length` tokens: (1, heads, length, length)."""
        places = torch.arange(length)
        return -self.slopes()[None, :, None, None] * (places[None, :] - places[:, None]).abs()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPooling:
        """States of all tokens; of those at which `attention_mask` int64 (n, t) is 0 they mean nothing."""
        embeddings = self.embeddings
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        states = embeddings.word_embeddings(input_ids) + embeddings.token_type_embeddings(types)
        states = embeddings.LayerNorm(states)
        mask = None
        if attention_mask is not None:
            lowest = torch.finfo(states.dtype).min
            mask = (1 - attention_mask[:, None, None, :].to(states.dtype)) * lowest
        bias = self.position_bias(input_ids.shape[1])
        layers: Any = self.encoder["layer"]
        for layer in layers:
            states = layer(states, mask, bias)
        pooled = None if self.pooler is None else self.pooler(states)
        return BaseModelOutputWithPooling(last_hidden_state=states, pooler_output=pooled)


class JinaBertV2ForMaskedLM(JinaBertV2PreTrainedModel):  # type: ignore[no-untyped-call]
    """With the head that the published embedders keep of their training."""

    _tied_weights_keys = {"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight"}  # noqa: RUF012

    def __init__(self, config: JinaBertV2Config) -> None:
        super().__init__(config)
        self.bert = JinaBertV2Model(config)
        self.cls = BertOnlyMLMHead(config)  # type: ignore[no-untyped-call]
        self.post_init()  # type: ignore[no-untyped-call]

    def get_output_embeddings(self) -> nn.Module:
        """The layer of the logits."""
        decoder: nn.Module = self.cls.predictions.decoder
        return decoder

    def forward(self, input_ids: Tensor, **inputs: Any) -> MaskedLMOutput:
        """Logits float32 (n, t, V)."""
        return MaskedLMOutput(logits=self.cls(self.bert(input_ids, **inputs).last_hidden_state))


class JinaBertV2ForSequenceClassification(JinaBertV2PreTrainedModel):  # type: ignore[no-untyped-call]
    """With a head on the pooled first token."""

    def __init__(self, config: JinaBertV2Config) -> None:
        super().__init__(config)
        self.bert = JinaBertV2Model(config, add_pooling_layer=True)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels or 1)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor, **inputs: Any) -> SequenceClassifierOutput:
        """Logits float32 (n, labels)."""
        return SequenceClassifierOutput(logits=self.classifier(self.bert(input_ids, **inputs).pooler_output))


AutoConfig.register(JINA_BERT_V2, JinaBertV2Config)
AutoModel.register(JinaBertV2Config, JinaBertV2Model)
AutoModelForMaskedLM.register(JinaBertV2Config, JinaBertV2ForMaskedLM)
AutoModelForSequenceClassification.register(JinaBertV2Config, JinaBertV2ForSequenceClassification)
