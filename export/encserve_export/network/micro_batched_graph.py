"""A packed graph that cuts each batch into micro-batches by itself, for engines that hand it all texts at once.

What such an engine runs is one pack, however many its texts and however different their lengths. Padded to the longest
of them, attention alone could take gigabytes. So the graph sorts the texts by length once, and a Loop runs the packed
network on one micro-batch of similar lengths after the other: memory goes by the largest micro-batch, and time by what
each text needs. The rows of each text, token or mask go back to where it stood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, compose, helper, parser

from .cuts import Cuts

_PREFIX = "micro_batch."
"""Of every name within the packed network."""


@dataclass(frozen=True, kw_only=True)
class Interface:
    """What goes into a packed network, and what comes out."""

    inputs: Sequence[str]
    follows: Mapping[str, str]
    """Output -> the input of which it has a row for each element."""
    mask_id: int | None = None
    """The token that is a mask, where `mask_at` is among the inputs."""

    @property
    def of_tokens(self) -> list[str]:
        """The inputs with an element for each token."""
        return [name for name in self.inputs if name not in ("lengths", "mask_at")]


def in_micro_batches(network: onnx.ModelProto, interface: Interface, cuts: Cuts) -> onnx.ModelProto:
    """A graph that takes and gives what the packed `network` does, and runs it on one micro-batch after the other.

    A text of no tokens is computed as one of a single token, of id 0. The weights leave `network`, which is of no use
    afterwards.
    """
    graph = network.graph
    outputs = list(interface.follows)
    inputs, results = ([_copied(value) for value in values] for values in (graph.input, graph.output))
    # Weights that only a loop in the network reads would keep their names, if they were not told here.
    weights = {tensor.name: f"{_PREFIX}{tensor.name}" for tensor in graph.initializer}
    compose.add_prefix_graph(graph, _PREFIX, inplace=True, name_map=weights)
    loop = helper.make_node(
        "Loop",
        ["text_count", "", "first", *(f"no_{output}" for output in outputs)],
        ["end_of_last", *(f"parts_of_{output}" for output in outputs)],
        body=_micro_batch(graph, interface, cuts),
    )
    nodes = [*_by_length(interface), loop, *_in_order(interface)]
    for number, node in enumerate(nodes):
        node.name = f"batch_{number}_{node.op_type}"
    batch = helper.make_graph(nodes, "batch", inputs, results, graph.initializer)
    del graph.initializer[:]
    return helper.make_model(batch, opset_imports=network.opset_import, ir_version=network.ir_version)


def _by_length(interface: Interface) -> list[NodeProto]:
    """The tokens of the batch, sorted by the length of their text; and what the Loop starts from."""
    text = f"""
        zero = Constant <value_ints = [0]> ()
        one = Constant <value_ints = [1]> ()
        first_axis = Constant <value_int = 0> ()
        step = Constant <value_int = 1> ()
        rest = Constant <value_ints = [{2**63 - 1}]> ()

        texts = Shape (lengths)
        text_count = Squeeze (texts)
        some_lengths = Max (lengths, one)
        sorted_lengths, order = TopK (some_lengths, texts)
        ranks = Range (first_axis, text_count, step)
        rank = ScatterElements (order, order, ranks)

        begins = CumSum <exclusive = 1> (lengths, first_axis)
        sorted_begins = CumSum <exclusive = 1> (sorted_lengths, first_axis)
        begins_by_rank = Gather (sorted_begins, rank)
        shifts = Sub (begins_by_rank, begins)

        tokens = Shape (input_ids)
        token_count = Squeeze (tokens)
        one_more = Add (tokens, one)
        no_marks = ConstantOfShape <value = int64[1] {{0}}> (one_more)
        of_texts = Expand (one, texts)
        marks = ScatterElements <reduction = "add"> (no_marks, begins, of_texts)
        texts_begun = CumSum (marks, first_axis)
        texts_begun_at = Slice (texts_begun, zero, tokens)
        text_of = Sub (texts_begun_at, one)
        shift = Gather (shifts, text_of)
        numbers = Range (first_axis, token_count, step)
        place = Add (numbers, shift)

        places = ReduceSum <keepdims = 1> (some_lengths)
        empty = ConstantOfShape <value = int64[1] {{0}}> (places)
        first = Identity (zero)
    """
    for name in interface.of_tokens:
        text += f"sorted_{name} = ScatterElements (empty, place, {name})\n"
    for output in interface.follows:
        text += f"no_{output} = SequenceEmpty <dtype = {TensorProto.FLOAT}> ()\n"
    if interface.mask_id is not None:
        text += f"""
            mask_id = Constant <value_int = {interface.mask_id}> ()
            sorted_is_mask = Equal (sorted_input_ids, mask_id)
            sorted_masks = Cast <to = {TensorProto.INT64}> (sorted_is_mask)
        """
    return _nodes(text)


def _micro_batch(network: GraphProto, interface: Interface, cuts: Cuts) -> GraphProto:
    """The body of the Loop: as many texts from `begin` on as the cuts allow, through the network."""
    text = f"""
        most_tokens = Constant <value_int = {cuts.tokens}> ()
        most_padding = Constant <value_int = {cuts.padding}> ()
        most_pairs = Constant <value_int = {cuts.pairs}> ()
        most_places = Constant <value_int = {cuts.places}> ()
        waiting = Slice (sorted_lengths, begin, rest)
        tokens_up_to = CumSum (waiting, first_axis)
        longest = Slice (waiting, zero, one)
        pairs_of_longest = Mul (longest, longest)
        pairs = Mul (waiting, waiting)
        padding = Sub (pairs_of_longest, pairs)
        padding_up_to = CumSum (padding, first_axis)
        few_tokens = LessOrEqual (tokens_up_to, most_tokens)
        little_padding = LessOrEqual (padding_up_to, most_padding)
        pairs_of_each = Add (pairs, padding)
        pairs_up_to = CumSum (pairs_of_each, first_axis)
        pairs_of_most_places = Mul (most_places, longest)
        most_of_both = Min (most_pairs, pairs_of_most_places)
        few_pairs = LessOrEqual (pairs_up_to, most_of_both)
        fits_beside = And (few_tokens, little_padding)
        fits = And (fits_beside, few_pairs)
        fits_as_number = Cast <to = {TensorProto.INT64}> (fits)
        fitting = ReduceSum <keepdims = 1> (fits_as_number)
        taken = Max (fitting, one)
        end = Add (begin, taken)
        "{_PREFIX}lengths" = Slice (sorted_lengths, begin, end)
        begin_token = Gather (sorted_begins, begin)
        taken_tokens = ReduceSum <keepdims = 1> ("{_PREFIX}lengths")
        end_token = Add (begin_token, taken_tokens)
        more_of_each = Less (end, texts)
        more = Squeeze (more_of_each)
    """
    for name in interface.of_tokens:
        text += f'"{_PREFIX}{name}" = Slice (sorted_{name}, begin_token, end_token)\n'
    if interface.mask_id is not None:
        text += f"""
            masks = Slice (sorted_masks, begin_token, end_token)
            mask_count = ReduceSum <keepdims = 0> (masks)
            "{_PREFIX}mask_at" = Range (first_axis, mask_count, step)
        """
    appended = ""
    for output in interface.follows:
        appended += f'{output}_and_these = SequenceInsert ({output}_before, "{_PREFIX}{output}")\n'
    integer, boolean = TensorProto.INT64, TensorProto.BOOL
    parts = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    return helper.make_graph(
        [*_nodes(text), *network.node, *_nodes(appended)],
        "micro_batch",
        [
            helper.make_tensor_value_info("number", integer, []),
            helper.make_tensor_value_info("any_more", boolean, []),
            helper.make_tensor_value_info("begin", integer, [1]),
            *(helper.make_value_info(f"{output}_before", parts) for output in interface.follows),
        ],
        [
            helper.make_tensor_value_info("more", boolean, []),
            helper.make_tensor_value_info("end", integer, [1]),
            *(helper.make_value_info(f"{output}_and_these", parts) for output in interface.follows),
        ],
        value_info=[
            # The sizes of a micro-batch have the names of those of the batch in `network`, so they are left out.
            helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, None)
            for value in network.value_info
        ],
    )


def _in_order(interface: Interface) -> list[NodeProto]:
    """The rows of all micro-batches, back where their texts, tokens and masks stood in the batch."""
    places = {"lengths": "rank", "input_ids": "place", "mask_at": "mask_place"}
    text = ""
    if interface.mask_id is not None:
        text += """
            masks_before = CumSum <exclusive = 1> (sorted_masks, first_axis)
            is_mask = Equal (input_ids, mask_id)
            mask_places = Compress (place, is_mask)
            numbers_of_masks = Gather (masks_before, mask_places)
            mask_size = Shape (mask_at)
            mask_place = Slice (numbers_of_masks, zero, mask_size)
        """
    for output, followed in interface.follows.items():
        text += f"all_{output} = ConcatFromSequence <axis = 0> (parts_of_{output})\n"
        text += f"{output} = Gather (all_{output}, {places[followed]})\n"
    return _nodes(text)


def _nodes(text: str) -> list[NodeProto]:
    """Nodes written in ONNX's own notation."""
    return list(parser.parse_graph(f"nodes () => () {{ {text} }}").node)


def _copied(value: ValueInfoProto) -> ValueInfoProto:
    copied = ValueInfoProto()
    copied.CopyFrom(value)
    return copied
