"""A packed network with adapters, any of them for any text of a pack, in one graph.

An adapter adds `x a^T b^T` to what a linear layer gives, and `a^T[id] b^T` to what a table gives for a token. The
narrow matrices of all adapters stand side by side, (R, in) and (out, R), and each token keeps of the R numbers between
them those of its own adapter: a product of three plain operators, of which no part depends on the adapters of other
texts. A token without an adapter multiplies zeros, and what it adds is exactly 0.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from encserve_export.adapters.lora import Adapter, LowRank, in_head
from encserve_export.checkpoint.checkpoint import Checkpoint


@dataclass(frozen=True)
class _Chosen:
    """Which adapter each token and each text of the forward pass that is running has; 0 is none."""

    of_tokens: Tensor
    """int64 (T,)."""
    of_texts: Tensor
    """int64 (n,)."""
    masks: dict[tuple[object, ...], Tensor] = field(default_factory=dict)
    """What was looked up, since most layers have the same blocks."""


_chosen: ContextVar[_Chosen] = ContextVar("adapters of the texts")


class AdaptedNetwork(nn.Module):
    """The network of a task, some of whose layers are adapted."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        input_ids: Tensor,
        lengths: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pooling_mask: Tensor | None = None,
        adapter_ids: Tensor | None = None,
        mask_at: Tensor | None = None,
    ) -> Tensor:
        """Token ids int64 (T,) of n texts end to end, their lengths int64 (n,), and the number of the adapter of each
        token int64 (T,), which is that of its text, to what the network gives."""
        assert adapter_ids is not None
        inputs = {
            "token_type_ids": token_type_ids,
            "attention_mask": attention_mask,
            "pooling_mask": pooling_mask,
            "mask_at": mask_at,
        }
        given = {name: tensor for name, tensor in inputs.items() if tensor is not None}
        starts = lengths.cumsum(0) - lengths  # (n,)
        chosen = _chosen.set(_Chosen(adapter_ids, adapter_ids[starts]))
        try:
            return self.network(input_ids=input_ids, lengths=lengths, **given)  # type: ignore[no-any-return]
        finally:
            _chosen.reset(chosen)


class AdaptedLinear(nn.Module):
    """A linear layer with what each adapter adds to it."""

    def __init__(self, layer: nn.Module, added: Sequence[LowRank | None], *, of_texts: bool) -> None:
        """`added` has for each adapter what it adds, or None. The layer gets a place for each token, or for each text
        where `of_texts`."""
        super().__init__()
        self.layer, self.of_texts = layer, of_texts
        present = [each for each in added if each is not None]
        self.blocks = tuple(0 if each is None else each.rank for each in added)
        # (in, R); of a table (rows, R)
        self.a = nn.Parameter(torch.cat([each.a for each in present]).T.contiguous(), requires_grad=False)
        self.b = nn.Parameter(
            torch.cat([each.b for each in present], 1).T.contiguous(), requires_grad=False
        )  # (R, out)
        self.register_buffer("table", _table(self.blocks))

    def forward(self, states: Tensor) -> Tensor:
        """(..., places, in) to (..., places, out)."""
        inner = (states @ self.a) * self._mask()  # (..., places, R)
        return self.layer(states) + inner @ self.b  # type: ignore[no-any-return]

    def _mask(self) -> Tensor:
        chosen, key = _chosen.get(), (self.blocks, self.of_texts)
        if key not in chosen.masks:
            chosen.masks[key] = self.table[chosen.of_texts if self.of_texts else chosen.of_tokens]  # type: ignore[index]
        return chosen.masks[key]  # (places, R)


class AdaptedTable(AdaptedLinear):
    """A table that is looked up for each token, with what each adapter adds to its rows."""

    def forward(self, ids: Tensor) -> Tensor:
        """(..., places) to (..., places, out)."""
        inner = self.a[ids] * self._mask()  # (..., places, R)
        return self.layer(ids) + inner @ self.b  # type: ignore[no-any-return]


class AdaptedHead(nn.Module):
    """A module of the head, of which adapters bring others in its place. All are computed, and each place takes what
    its own gives."""

    def __init__(self, module: nn.Module, others: Sequence[tuple[int, nn.Module]], *, of_texts: bool) -> None:
        """`others` are the modules of adapters, with their numbers."""
        super().__init__()
        self.module, self.of_texts = module, of_texts
        self.numbers = [number for number, _ in others]
        self.others = nn.ModuleList(module for _, module in others)

    def forward(self, states: Tensor) -> Tensor:
        """What the modules make of `states`: (..., places, C)."""
        chosen, rows = _chosen.get(), self.module(states)
        numbers = chosen.of_texts if self.of_texts else chosen.of_tokens  # (places,)
        for number, other in zip(self.numbers, self.others, strict=True):
            rows = torch.where((numbers == number)[:, None], other(states), rows)
        return rows  # type: ignore[no-any-return]


@contextmanager
def adapted(checkpoint: Checkpoint, network: nn.Module) -> Iterator[nn.Module]:
    """`network`, which is that of `checkpoint`, with all of its adapters for a while; itself where there are none."""
    adapters, model = checkpoint.adapters, checkpoint.model
    if not adapters:
        yield network
        return
    replaced: list[tuple[nn.Module, str, nn.Module]] = []

    def put(name: str, module: nn.Module) -> None:
        parent, _, own = name.rpartition(".")
        holder = model.get_submodule(parent)
        replaced.append((holder, own, model.get_submodule(name)))
        setattr(holder, own, module)

    try:
        for name in sorted({module for adapter in adapters for module in adapter.layers}):
            layer = model.get_submodule(name)
            added = [adapter.layers.get(name) for adapter in adapters]
            kind = AdaptedTable if isinstance(layer, nn.Embedding) else AdaptedLinear
            put(name, kind(layer, added, of_texts=_of_texts(checkpoint, name)))
        for name in sorted({module for adapter in adapters for module in adapter.heads}):
            module = model.get_submodule(name)
            put(name, AdaptedHead(module, _heads(name, module, adapters), of_texts=_of_texts(checkpoint, name)))
        yield AdaptedNetwork(network)
    finally:
        for holder, own, module in reversed(replaced):
            setattr(holder, own, module)


def _of_texts(checkpoint: Checkpoint, module: str) -> bool:
    """Whether a module gets a place for each text, and not for each token."""
    return checkpoint.task.follows == "lengths" and in_head(checkpoint.model, f"{module}.")


def _heads(name: str, module: nn.Module, adapters: Sequence[Adapter]) -> list[tuple[int, nn.Module]]:
    others = []
    for number, adapter in enumerate(adapters, start=1):
        if name in adapter.heads:
            other = copy.deepcopy(module)
            other.load_state_dict(dict(adapter.heads[name]))
            others.append((number, other))
    return others


def _table(blocks: Sequence[int]) -> Tensor:
    """Which of the R numbers an adapter keeps, `blocks` of them each: float32 (K + 1, R), 0 in the row of none."""
    table = torch.zeros(len(blocks) + 1, sum(blocks))
    begin = 0
    for number, size in enumerate(blocks, start=1):
        table[number, begin : begin + size] = 1.0
        begin += size
    return table
