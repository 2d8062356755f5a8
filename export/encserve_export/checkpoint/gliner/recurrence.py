"""An LSTM that reads the words of each text from both ends: in PyTorch step by step, in a graph as ONNX's operator."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.onnx import ops

_OPSET = 14
"""That of the operator's last definition."""


class BothWays(nn.Module):
    """One layer. Each direction gives half of a vector."""

    given: Tensor
    """What the operator multiplies vectors with, of both directions: (2, 4 H/2, H)."""
    kept: Tensor
    """Likewise states: (2, 4 H/2, H/2)."""
    biases: Tensor
    """What it adds to either: (2, 8 H/2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.forwards, self.backwards = (nn.LSTM(width, width // 2, batch_first=True) for _ in range(2))

    def lay_out(self) -> None:
        """Put the weights in the order of the operator, before anything is traced: what a graph puts in order is no
        constant there, and a precision would round it."""
        both = (self.forwards, self.backwards)
        given = torch.stack([_in_order(each.weight_ih_l0) for each in both])  # (2, 4 H/2, H)
        kept = torch.stack([_in_order(each.weight_hh_l0) for each in both])  # (2, 4 H/2, H/2)
        biases = torch.stack([torch.cat([_in_order(each.bias_ih_l0), _in_order(each.bias_hh_l0)]) for each in both])
        for name, tensor in (("given", given), ("kept", kept), ("biases", biases)):
            self.register_buffer(name, tensor.detach(), persistent=False)

    def forward(self, vectors: Tensor, words: Tensor) -> Tensor:
        """Vectors (n, L, H) of places, of which the first of each text are words, as `words` bool (n, L) says, to new
        ones (n, L, H). Those of other places have no meaning."""
        counts = words.to(torch.int64).sum(1)  # (n,)
        return self._operator(vectors, counts) if torch.onnx.is_in_onnx_export() else self._steps(vectors, counts)

    def _steps(self, vectors: Tensor, counts: Tensor) -> Tensor:
        n, longest, width = vectors.shape
        place = torch.arange(longest)[None, :]  # (1, L)
        # What stands behind the words is read after them in either direction, and changes none of theirs.
        turned = torch.where(place < counts[:, None], counts[:, None] - 1 - place, place)[..., None]  # (n, L, 1)
        turned_words = vectors.gather(1, turned.expand(n, longest, width))
        back = self.backwards(turned_words)[0]
        return torch.cat([self.forwards(vectors)[0], back.gather(1, turned.expand_as(back))], 2)

    def _operator(self, vectors: Tensor, counts: Tensor) -> Tensor:
        n, longest, width = vectors.shape
        states = ops.symbolic(
            "LSTM",
            [vectors.transpose(0, 1), self.given, self.kept, self.biases, counts.clamp(min=1).to(torch.int32)],
            {"direction": "bidirectional", "hidden_size": width // 2},
            dtype=vectors.dtype,
            shape=(longest, 2, n, width // 2),
            version=_OPSET,
        )
        return states.permute(2, 0, 1, 3).reshape(n, longest, width)


def _in_order(rows: Tensor | nn.Module) -> Tensor:
    """The rows of the gates as ONNX has them: input, output, forget, cell. PyTorch has the output last."""
    assert isinstance(rows, Tensor)
    given, forget, cell, output = rows.chunk(4)
    return torch.cat([given, output, forget, cell])
