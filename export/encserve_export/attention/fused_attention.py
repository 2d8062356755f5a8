"""Attention over a pack as one operator, com.microsoft.PackedMultiHeadAttention, which only ONNX Runtime's CUDA
provider computes: no text is padded in it.

It knows dot products, a scale and one bias for each head and pair of places. What a network does beyond that (windows,
tokens that look back only, scores out of several products) is written out as on other devices, layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import onnx
from onnx import inliner, parser
from torch import Tensor
from torch.onnx import ops

from .packing import Packing

DOMAIN, OPERATOR = "com.microsoft", "PackedMultiHeadAttention"

_fusing: ContextVar[bool] = ContextVar("attention is one operator", default=False)


@contextmanager
def fusing() -> Iterator[None]:
    """Trace attention as one operator meanwhile, where it can say what a layer does."""
    token = _fusing.set(True)
    try:
        yield
    finally:
        _fusing.reset(token)


def is_fusing() -> bool:
    """Whether attention is traced as one operator now."""
    return _fusing.get()


def fused_attention(
    query: Tensor,  # (1, heads, T, dim)
    key: Tensor,  # (1, heads, T, dim), or fewer heads, each shared by several of the query's
    value: Tensor,  # (1, heads, T, dim), likewise
    packing: Packing,
    *,
    scale: float,
    position_bias: Tensor | None,  # (1, heads, 1, L, L)
) -> Tensor:
    """What stands in a graph for softmax(q k^T * scale + bias) v within each text: (1, T, heads, dim).

    For tracing alone: there is nothing that computes it here.
    """
    _, heads, tokens, dim = query.shape
    own = [query, *(states.repeat_interleave(heads // states.shape[1], dim=1) for states in (key, value))]
    rows = [states[0].transpose(0, 1).reshape(tokens, heads * dim) for states in own]
    biases = [] if position_bias is None else [position_bias[:, :, 0]]
    mixed = ops.symbolic(
        f"{DOMAIN}::{OPERATOR}",
        [*rows, None, packing.token_offset, packing.cumulative_lengths, *biases],
        {"num_heads": heads, "scale": float(scale)},
        dtype=query.dtype,
        shape=rows[0].shape,
        version=1,
    )
    return mixed.reshape(1, tokens, heads, dim)


def fused_layers(model: onnx.ModelProto) -> int:
    """How many layers of a graph attend by the operator, those within loops, too."""
    return sum(_is_fused(node) for node in _nodes_of(model.graph))


def written_out(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph that computes the same on any device, by what the operator's documentation says that it does.

    Scores and sums are FP32, as in its kernels, whatever the type of the rows. `model` itself if it has no such layer.
    """
    if not fused_layers(model):
        return model
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    for node in _nodes_of(plain.graph):
        if _is_fused(node):
            biased = len(node.input) == 1 + _INPUTS
            node.domain, node.op_type = _FUNCTIONS, _name_of(biased)
    plain.opset_import.append(onnx.helper.make_opsetid(_FUNCTIONS, 1))
    plain.functions.extend([_function(biased=False), _function(biased=True)])
    return inliner.inline_local_functions(plain)


def _nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == attribute.GRAPH:
                yield from _nodes_of(attribute.g)


def _is_fused(node: onnx.NodeProto) -> bool:
    return bool(node.domain == DOMAIN and node.op_type == OPERATOR)


_FUNCTIONS = "encserve"
_INPUTS = 6
"""Of the operator, without a bias for each head and pair of places."""


def _name_of(biased: bool) -> str:
    return "AttentionWithBias" if biased else "Attention"


def _function(*, biased: bool) -> onnx.FunctionProto:
    """The operator in others. token_offset (n, L) has, first, the place of each token among n * L padded ones."""
    bias, scores = (", attention_bias", "biased") if biased else ("", "scaled")
    return parser.parse_function(f"""
        <domain: "{_FUNCTIONS}", opset_import: ["" : 20]>
        {_name_of(biased)} <num_heads, scale>
            (query, key, value, unused, token_offset, cumulative_sequence_length{bias}) => (output)
        {{
            zero = Constant <value_ints = [0]> ()
            one = Constant <value_ints = [1]> ()
            rest = Constant <value_ints = [-1]> ()
            end = Constant <value_ints = [9223372036854775807]> ()
            lowest = Constant <value_float = -3.4028234663852886e38> ()
            factor = Constant <value_float: float = @scale> ()
            heads_scalar = Constant <value_int: int = @num_heads> ()
            heads = Unsqueeze (heads_scalar, zero)

            tokens = Shape <start = 0, end = 1> (query)
            width = Shape <start = 1, end = 2> (query)
            texts = Shape <start = 0, end = 1> (token_offset)
            longest = Shape <start = 1, end = 2> (token_offset)
            places = Mul (texts, longest)
            offsets = Cast <to = 7> (token_offset)
            flat = Reshape (offsets, rest)
            place = Slice (flat, zero, tokens)
            index = Unsqueeze (place, one)
            padded_shape = Concat <axis = 0> (places, width)
            split_shape = Concat <axis = 0> (texts, longest, heads, rest)
            rows_shape = Concat <axis = 0> (places, rest)
            nothing = ConstantOfShape (padded_shape)

            query_rows = Cast <to = 1> (query)
            query_padded = ScatterND (nothing, index, query_rows)
            query_split = Reshape (query_padded, split_shape)
            query_heads = Transpose <perm = [0, 2, 1, 3]> (query_split)
            key_rows = Cast <to = 1> (key)
            key_padded = ScatterND (nothing, index, key_rows)
            key_split = Reshape (key_padded, split_shape)
            key_heads = Transpose <perm = [0, 2, 3, 1]> (key_split)
            value_rows = Cast <to = 1> (value)
            value_padded = ScatterND (nothing, index, value_rows)
            value_split = Reshape (value_padded, split_shape)
            value_heads = Transpose <perm = [0, 2, 1, 3]> (value_split)

            ends = Slice (cumulative_sequence_length, one, end)
            begins = Slice (cumulative_sequence_length, zero, rest)
            lengths32 = Sub (ends, begins)
            lengths = Cast <to = 7> (lengths32)
            length_column = Unsqueeze (lengths, one)
            longest_scalar = Squeeze (longest)
            zero_scalar = Squeeze (zero)
            one_scalar = Squeeze (one)
            column = Range (zero_scalar, longest_scalar, one_scalar)
            is_token = Less (column, length_column)
            of_keys = Constant <value_ints = [1, 2]> ()
            seen = Unsqueeze (is_token, of_keys)

            products = MatMul (query_heads, key_heads)
            scaled = Mul (products, factor)
            {"bias32 = Cast <to = 1> (attention_bias)" if biased else ""}
            {"biased = Add (scaled, bias32)" if biased else ""}
            masked = Where (seen, {scores}, lowest)
            weights = Softmax <axis = -1> (masked)
            mixed = MatMul (weights, value_heads)
            by_place = Transpose <perm = [0, 2, 1, 3]> (mixed)
            mixed_rows = Reshape (by_place, rows_shape)
            unpadded = Gather <axis = 0> (mixed_rows, place)
            output = CastLike (unpadded, query)
        }}
    """)
