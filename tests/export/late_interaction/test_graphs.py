"""Tokens to which no other attends, in every graph that an engine starts from."""

from contextlib import nullcontext

import numpy as np
import onnx
import pytest
import torch

from encserve_export.attention.fused_attention import fused_layers, fusing
from encserve_export.attention.packing import constant_longest
from encserve_export.attention.pairs import TILE
from encserve_export.engines.tensorrt_backend.operators import check_operators, rewrite_integers
from encserve_export.network.cuts import Cuts
from encserve_export.network.graph_session import session_of
from encserve_export.network.micro_batched_graph import Interface, in_micro_batches
from encserve_export.network.packed_graph import write_graph
from encserve_export.network.packed_heads import packed_network
from encserve_export.network.query_blocks import in_query_blocks
from export.checkpoints.in_process import load

from . import layouts

LENGTHS = [5, 16, 1, TILE + 9, 16]
CUTS = Cuts(tokens=60, places=100, padding=300, pairs=6_000)


@pytest.mark.slow
def test_every_graph_leaves_them_out_of_what_others_see(tmp_path):
    checkpoint = load(layouts.stanford(tmp_path / "checkpoint", doc_maxlen=TILE + 9))
    network, graphs = packed_network(checkpoint), {}
    for name, tracing in {"ordinary": nullcontext(), "constant": constant_longest(2 * TILE)}.items():
        with tracing, fusing() if name == "ordinary" else nullcontext():
            write_graph(checkpoint, network, tmp_path / f"{name}.onnx")
        graphs[name] = onnx.load(tmp_path / f"{name}.onnx")
    assert fused_layers(graphs["ordinary"]) == 0, "the operator knows no such tokens"
    rewrite_integers(graphs["constant"])
    check_operators(graphs["constant"])
    blocked = onnx.load(tmp_path / "ordinary.onnx")
    assert in_query_blocks(blocked, 2_000) == checkpoint.config.num_hidden_layers
    interface = Interface(inputs=checkpoint.graph_inputs, follows={checkpoint.task.output: "input_ids"})
    graphs["in blocks"] = in_micro_batches(blocked, interface, CUTS)

    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, checkpoint.config.vocab_size, (sum(LENGTHS),), generator=generator)
    mask = torch.ones_like(ids)
    mask[torch.cat([torch.arange(9, 21), torch.arange(sum(LENGTHS) - 10, sum(LENGTHS))])] = 0  # ends of two texts
    with torch.inference_mode():
        alone = [
            checkpoint.encoder(input_ids=own[None], attention_mask=seen[None]).last_hidden_state[0]
            for own, seen in zip(ids.split(LENGTHS), mask.split(LENGTHS), strict=True)
        ]
        expected = checkpoint.modules.token_dense[0](torch.cat(alone)).numpy()
    feed = {"input_ids": ids.numpy(), "lengths": np.array(LENGTHS), "attention_mask": mask.numpy()}
    for name, graph in graphs.items():
        session = session_of(graph)
        (rows,) = session.run(None, feed)
        np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-4, err_msg=name)
        (unmasked,) = session.run(None, {**feed, "attention_mask": np.ones_like(feed["attention_mask"])})
        assert np.abs(unmasked - expected).max() > 1e-2, f"{name} does not read the mask"
