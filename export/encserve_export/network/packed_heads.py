"""A network with its trained head on a pack of texts: transformers' own `For...` class, whose encoder is replaced by
one that has already run packed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GenericForSequenceClassification
from transformers.modeling_outputs import BaseModelOutputWithPooling

from encserve_export.attention.packing import Packing, packing_of
from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.checkpoint.gliner.layout import ENTITIES

from .packed_graph import PackedEncoder


class PackedHead(nn.Module):
    """The network of a task on token vectors that the encoder gives."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.encoder = PackedEncoder(checkpoint)
        self.model = checkpoint.model

    def forward(
        self,
        input_ids: Tensor,
        lengths: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Token ids int64 (T,) of n texts end to end and their lengths int64 (n,) to what `head` gives, float32. No
        token attends to those at which `attention_mask` int64 (T,) is 0."""
        packing = packing_of(lengths, input_ids.shape[0]).attending_to(attention_mask)
        return self.head(self.encoder.states(input_ids, packing, token_type_ids), packing, input_ids)

    def head(self, states: Tensor, packing: Packing, input_ids: Tensor) -> Tensor:
        """What the task makes of token vectors (T, H)."""
        raise NotImplementedError


class PackedTextHead(PackedHead):
    """One row of logits for each text."""

    def head(self, states: Tensor, packing: Packing, input_ids: Tensor) -> Tensor:
        """Token vectors (T, H) to logits (n, C)."""
        # Heads read the first token or average under the mask: both find what they expect in the padded view.
        padded_ids, mask = input_ids[packing.token_at], packing.is_token.to(torch.int64)  # (n, L)
        with standing_in(self.model, packing.pad(states)):  # (n, L, H)
            return self.model(input_ids=padded_ids, attention_mask=mask).logits  # type: ignore[no-any-return]


class PackedLastTokenHead(PackedHead):
    """One row of logits for each text, out of its last token that is no padding; of a text of padding alone, the first.

    The rule of transformers' GenericForSequenceClassification. Where the padding token ends texts, too, as in Qwen's
    tokenizers, the logits are those of the token before.
    """

    def head(self, states: Tensor, packing: Packing, input_ids: Tensor) -> Tensor:
        """Token vectors (T, H) to logits (n, C)."""
        padding = self.model.config.get_text_config().pad_token_id
        places = packing.positions if padding is None else packing.positions * (input_ids != padding)  # (T,)
        last = packing.pad(places).masked_fill(~packing.is_token, 0).amax(1)  # (n,)
        return self.model.score(states[packing.token_at[:, 0] + last])  # type: ignore[no-any-return,operator]


class PackedTokenHead(PackedHead):
    """One row of logits for each token."""

    def head(self, states: Tensor, packing: Packing, input_ids: Tensor) -> Tensor:
        """Token vectors (T, H) to logits (T, C)."""
        return token_logits(self.model, states)


class PackedTokenVectors(PackedHead):
    """One vector for each token, after the dense layers that the checkpoint puts on tokens."""

    def head(self, states: Tensor, packing: Packing, input_ids: Tensor) -> Tensor:
        """Token vectors (T, H) to vectors (T, H)."""
        return self.encoder.token_dense(states)  # type: ignore[no-any-return]


class PackedHybrid(nn.Module):
    """Three outputs of one pass: the vector of a text, and of each token a weight and a vector.

    Chen et al. 2024, M3-Embedding, section 3.2.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        assert checkpoint.hybrid is not None
        self.encoder = PackedEncoder(checkpoint)
        self.sparse, self.tokens = checkpoint.hybrid.sparse, checkpoint.hybrid.tokens

    def forward(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Token ids int64 (T,) of n texts end to end and their lengths int64 (n,) to vectors (n, H), weights of tokens
        (T, 1), none below 0, and vectors of tokens (T, D), all float32."""
        packing = packing_of(lengths, input_ids.shape[0])
        states = self.encoder.states(input_ids, packing)  # (T, H)
        return self.encoder.head(states, packing, input_ids), self.sparse(states).relu(), self.tokens(states)


class PackedEntities(nn.Module):
    """Of each token that begins a word a row of logits for each label of its text: of it, or of the spans that begin
    there."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        assert checkpoint.entities is not None
        self.encoder = PackedEncoder(checkpoint)
        self.entities = checkpoint.entities

    def forward(self, input_ids: Tensor, lengths: Tensor, entity_roles: Tensor) -> Tensor:
        """Token ids int64 (T,) of n texts end to end, their lengths int64 (n,), and what each token is to the head,
        int64 (T,), to logits float32 (T, C)."""
        packing = packing_of(lengths, input_ids.shape[0])
        states = self.encoder.states(input_ids, packing)  # (T, H)
        return self.entities(states, packing, entity_roles)  # type: ignore[no-any-return]


class PackedScores(PackedHead):
    """One row of scores for each pair, which layers behind the pooling make of its vector."""

    def head(self, states: Tensor, packing: Packing, input_ids: Tensor) -> Tensor:
        """Token vectors (T, H) to scores (n, C)."""
        return self.encoder.head(states, packing, input_ids)


class PackedSparseHead(PackedHead):
    """One weight for each token of the vocabulary, for each text: max over its tokens of log(1 + max(0, logit)), or of
    log(1 + that).

    Formal et al. 2021, SPLADE v2, equation 6; Shen et al. 2025 with the second logarithm.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.twice = checkpoint.modules.splade == "log1p_relu"

    def head(self, states: Tensor, packing: Packing, input_ids: Tensor) -> Tensor:
        """Token vectors (T, H) to weights (n, V)."""
        logits = token_logits(self.model, states)  # (T, V)
        padded = packing.pad(logits).masked_fill(~packing.is_token[..., None], 0.0)  # (n, L, V)
        weights = padded.relu().amax(1).log1p()  # log1p grows, so the maximum may come first
        return weights.log1p() if self.twice else weights


class PackedMaskHead(nn.Module):
    """One row of logits for each mask."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.encoder = PackedEncoder(checkpoint)
        self.model = checkpoint.model
        self.mask_id = checkpoint.tokenizer.mask_token_id

    def forward(self, input_ids: Tensor, lengths: Tensor, mask_at: Tensor) -> Tensor:
        """Token ids int64 (T,) of n texts end to end, M of them masks, to logits float32 (M, V).

        A batch joins requests, and what each says of where its masks are counts from its own first token. So only the
        number of masks is taken from `mask_at` (M,), and the masks are found among the tokens of the batch.
        """
        packing = packing_of(lengths, input_ids.shape[0])
        return self.masked(self.encoder.states(input_ids, packing), input_ids, mask_at)

    def masked(self, states: Tensor, input_ids: Tensor, mask_at: Tensor) -> Tensor:
        """Token vectors (T, H) to the logits of the masks (M, V)."""
        seen = (input_ids == self.mask_id).to(torch.int64).cumsum(0)  # (T,) masks up to each token
        number = torch.arange(mask_at.shape[0], device=seen.device)  # (M,)
        place = (seen[None, :] <= number[:, None]).sum(1).clamp(max=input_ids.shape[0] - 1)  # (M,)
        return token_logits(self.model, states[place])


class PackedHeads(nn.Module):
    """The heads of several checkpoints on the one encoder that they share, which runs once."""

    def __init__(self, checkpoints: Sequence[Checkpoint]) -> None:
        super().__init__()
        self.encoder = PackedEncoder(checkpoints[0])
        self.networks = nn.ModuleList(packed_network(checkpoint) for checkpoint in checkpoints)

    def forward(
        self,
        input_ids: Tensor,
        lengths: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pooling_mask: Tensor | None = None,
        mask_at: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Token ids int64 (T,) of n texts end to end and their lengths int64 (n,) to what each head gives. No token
        attends to those at which `attention_mask` int64 (T,) is 0, and no mean is of those at which `pooling_mask` is.

        With a head for masks, `mask_at` int64 (M,) has an element for each mask of all texts, whichever head they are
        meant for.
        """
        packing = packing_of(lengths, input_ids.shape[0]).attending_to(attention_mask).pooling(pooling_mask)
        states = self.encoder.states(input_ids, packing, token_type_ids)  # (T, H)
        rows = []
        for network in self.networks:
            if isinstance(network, PackedMaskHead):
                assert mask_at is not None
                rows.append(network.masked(states, input_ids, mask_at))
            else:
                rows.append(network.head(states, packing, input_ids))  # type: ignore[operator]
        return tuple(rows)


def token_logits(model: PreTrainedModel, states: Tensor) -> Tensor:
    """What a head that looks at one token at a time gives for token vectors (T, H): (T, C)."""
    with standing_in(model, states[None]):
        output = model(input_ids=torch.zeros_like(states[None, :, 0], dtype=torch.int64))
    if "start_logits" in output:
        return torch.stack([output.start_logits[0], output.end_logits[0]], -1)
    return output.logits[0]  # type: ignore[no-any-return]


def _pooled(encoder: nn.Module, states: Tensor) -> Tensor | None:
    """What the encoder's own pooler makes of the first tokens (n, H), for heads that read that."""
    pooler = getattr(encoder, "pooler", None)
    if isinstance(pooler, nn.Linear):  # ALBERT and BigBird have the activation beside it
        activation = encoder.pooler_activation if hasattr(encoder, "pooler_activation") else encoder.activation
        return activation(pooler(states[:, 0]))  # type: ignore[no-any-return,operator]
    return None if pooler is None else pooler(states)


@dataclass
class _EncoderOutput(BaseModelOutputWithPooling):
    """What any head may ask of its encoder's output."""

    entity_last_hidden_state: None = None
    """LUKE's heads pass on what it says of entities, even where a text comes without any."""
    entity_hidden_states: None = None


@contextmanager
def standing_in(model: PreTrainedModel, states: Tensor) -> Iterator[None]:
    """Let the encoder inside `model` answer any call with `states` (n, L, H) for a while."""
    encoder = model.base_model
    pooled = _pooled(encoder, states)
    encoder.forward = lambda *args, **kwargs: _EncoderOutput(last_hidden_state=states, pooler_output=pooled)
    try:
        yield
    finally:
        del encoder.forward  # the class's own again


_BY_TASK: dict[str, type[nn.Module]] = {
    "feature-extraction": PackedEncoder,
    "token-embedding": PackedTokenVectors,
    "late-interaction": PackedTokenVectors,
    "sparse-embedding": PackedSparseHead,
    "hybrid-embedding": PackedHybrid,
    ENTITIES: PackedEntities,
}
_BY_ROWS = {"lengths": PackedTextHead, "input_ids": PackedTokenHead, "mask_at": PackedMaskHead}


def packed_network(checkpoint: Checkpoint) -> nn.Module:
    """The network that the encode step runs."""
    task = checkpoint.task
    if checkpoint.modules.scores:
        return PackedScores(checkpoint)
    if task.follows == "lengths" and isinstance(checkpoint.model, GenericForSequenceClassification):
        return PackedLastTokenHead(checkpoint)
    return _BY_TASK.get(task.name, _BY_ROWS[task.follows])(checkpoint)
