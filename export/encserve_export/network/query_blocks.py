"""Attention that takes its queries in blocks, so that the scores of a long text never all live at once.

A rewriting of a finished graph, whatever its precision: from the product of queries and keys to that of weights and
values, each attention becomes a Loop over as many queries at a time as keep to a number of scores. Where all of them
do, it runs once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx
from onnx import GraphProto, NodeProto, TensorProto, helper, parser

from encserve_export.errors import Unsupported
from encserve_export.network.tensor_types import known_types

_BETWEEN = frozenset(("Add", "Cast", "Div", "Identity", "Max", "Min", "Mul", "Sub", "Where"))
"""Operators that work on each score by itself."""


@dataclass(frozen=True)
class _Attention:
    """One attention of a graph."""

    products: NodeProto
    """Queries (..., q, dim) times keys (..., dim, k)."""
    between: list[NodeProto]
    """What makes weights out of scores, in order."""
    mixture: NodeProto
    """Weights (..., q, k) times values (..., k, dim)."""

    @property
    def nodes(self) -> list[NodeProto]:
        return [self.products, *self.between, self.mixture]

    @property
    def of_scores(self) -> list[str]:
        """What else than scores goes into the nodes between."""
        made = {name for node in self.nodes for name in node.output}
        return list(dict.fromkeys(name for node in self.between for name in node.input if name and name not in made))


def in_query_blocks(model: onnx.ModelProto, most_scores: int) -> int:
    """Let each attention of the graph take so many queries at a time as have `most_scores` with all their keys, in
    place; returns how many there are.

    Raises:
        Unsupported: an attention is none that can be taken in blocks.
    """
    graph, types = model.graph, known_types(model)
    constants = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    constants |= {node.output[0]: 0 for node in graph.node if node.op_type == "Constant"}
    found = list(_attentions(graph))
    if any(name not in types for attention in found for node in attention.nodes for name in node.output):
        raise Unsupported("attention cannot take its queries in blocks: the types of its tensors are not known")
    for number, attention in enumerate(found):
        sliced = [name for name in attention.of_scores if constants.get(name, 2) >= 2]
        blocks = _blocks(attention, sliced, types, f"blocks_{number}.", most_scores)
        last = next(index for index, node in enumerate(graph.node) if node.output[0] == attention.mixture.output[0])
        nodes = [*graph.node[:last], *blocks, *graph.node[last + 1 :]]
        gone = {node.output[0] for node in (attention.products, *attention.between)}
        del graph.node[:]
        graph.node.extend(node for node in nodes if node.output[0] not in gone)
        infos = [value for value in graph.value_info if value.name not in gone]
        del graph.value_info[:]
        graph.value_info.extend(infos)
    return len(found)


def try_query_blocks(model: onnx.ModelProto, most_scores: int) -> bool:
    """As `in_query_blocks`; but where an attention cannot be taken in blocks, leave the graph as it is, and say so."""
    try:
        in_query_blocks(model, most_scores)
    except Unsupported:
        return False
    return True


def _attentions(graph: GraphProto) -> Iterator[_Attention]:
    producers = {name: node for node in graph.node for name in node.output}
    consumers = {name: node for node in graph.node for name in node.input}
    uses = Counter(name for node in graph.node for name in node.input)
    for softmax in graph.node:
        if softmax.op_type != "Softmax":
            continue
        before: list[NodeProto] = []
        products, after = _sources(softmax.input[0], producers, before), [softmax]
        while (following := consumers.get(after[-1].output[0])) is not None and following.op_type in _BETWEEN:
            after.append(following)
        between = [*reversed(before), *after]
        if (
            following is None
            or following.op_type != "MatMul"
            or len(products) != 1
            or any(uses[node.output[0]] != 1 for node in (*products, *between))
        ):
            raise Unsupported(f"attention cannot take its queries in blocks: what surrounds {softmax.name} is unknown")
        yield _Attention(products[0], between, following)


def _sources(name: str, producers: Mapping[str, NodeProto], between: list[NodeProto]) -> list[NodeProto]:
    """The products of matrices that a tensor is made of, score by score, and the nodes that make it, the last first."""
    node = producers.get(name)
    if node is None or node.op_type not in ("MatMul", *_BETWEEN):
        return []
    if node.op_type == "MatMul":
        return [node]
    place = len(between)
    sources = [source for each in node.input for source in _sources(each, producers, between)]
    if sources:
        between.insert(place, node)
    return sources


def _blocks(
    attention: _Attention, sliced: list[str], types: Mapping[str, int], prefix: str, most_scores: int
) -> list[NodeProto]:
    """What stands for an attention."""
    query, key = attention.products.input
    body = f"""
        begin_as_number = Mul (number, rows_as_number)
        begin = Unsqueeze (begin_as_number, first)
        end = Add (begin, rows)
        block_query = Slice ("{query}", begin, end, of_queries)
    """
    for index, name in enumerate(sliced):  # what is the same for all queries has one of them
        body += f"""
            shape_{index} = Shape <start = -2, end = -1> ("{name}")
            last_{index} = Sub (shape_{index}, one)
            begin_{index} = Min (begin, last_{index})
            block_{index} = Slice ("{name}", begin_{index}, end, of_queries)
        """
    renamed = {query: "block_query"} | {name: f"block_{index}" for index, name in enumerate(sliced)}
    inner, value_info = _nodes(body), []
    for original in attention.nodes:
        node = NodeProto()
        node.CopyFrom(original)
        of_queries = 1 if original in (attention.products, attention.mixture) else len(node.input)  # and not of keys
        node.input[:of_queries] = [renamed.get(name, name) for name in node.input[:of_queries]]
        renamed[original.output[0]] = node.output[0] = f"of_block.{original.output[0]}"
        value_info.append(helper.make_tensor_value_info(node.output[0], types[original.output[0]], None))
        inner.append(node)
    output = attention.mixture.output[0]
    inner += _nodes(f'after = SequenceInsert (before, "of_block.{output}")\ngo_on = Identity (any_more)')
    parts = helper.make_sequence_type_proto(helper.make_tensor_type_proto(types[output], None))
    graph = helper.make_graph(
        inner,
        "block",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("any_more", TensorProto.BOOL, []),
            helper.make_value_info("before", parts),
        ],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []), helper.make_value_info("after", parts)],
        value_info=value_info,
    )
    around = _nodes(f"""
        first = Constant <value_ints = [0]> ()
        one = Constant <value_ints = [1]> ()
        of_queries = Constant <value_ints = [-2]> ()
        most = Constant <value_ints = [{most_scores}]> ()
        groups_each = Shape <start = 0, end = -2> ("{query}")
        groups = ReduceProd <keepdims = 1> (groups_each)
        queries = Shape <start = -2, end = -1> ("{query}")
        keys = Shape <start = -1> ("{key}")
        scores_of_query = Mul (groups, keys)
        fitting = Div (most, scores_of_query)
        rows = Max (fitting, one)
        rows_as_number = Squeeze (rows)
        less_one = Sub (rows, one)
        raised = Add (queries, less_one)
        blocks = Div (raised, rows)
        block_count = Squeeze (blocks)
        none = SequenceEmpty <dtype = {types[output]}> ()
    """)
    loop = helper.make_node("Loop", ["block_count", "", "none"], ["parts"], body=graph)
    joined = helper.make_node("ConcatFromSequence", ["parts"], [output], axis=-2)
    nodes = [*around, loop, joined]
    _rename(nodes, prefix, outer=_captured(attention))
    return nodes


def _captured(attention: _Attention) -> set[str]:
    """The names that keep their meaning: what goes into an attention, and what comes out."""
    made = {node.output[0] for node in attention.nodes[:-1]}
    return {name for node in attention.nodes for name in (*node.input, *node.output)} - made


def _rename(nodes: list[NodeProto], prefix: str, outer: set[str]) -> None:
    """Put `prefix` before every name that is not in `outer`, in the nodes and in the graphs within them."""
    for number, node in enumerate(nodes):
        node.name = f"{prefix}{node.name or f'{number}_{node.op_type}'}"
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name and name not in outer:
                    names[index] = f"{prefix}{name}"
        for attribute in node.attribute:
            if attribute.type == attribute.GRAPH:
                for value in (*attribute.g.input, *attribute.g.output, *attribute.g.value_info):
                    value.name = f"{prefix}{value.name}"
                _rename(list(attribute.g.node), prefix, outer)


def _nodes(text: str) -> list[NodeProto]:
    """Nodes written in ONNX's own notation."""
    return list(parser.parse_graph(f"nodes () => () {{ {text} }}").node)
