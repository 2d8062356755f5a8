"""Decoders: no token sees what stands after it, whichever engine's graph computes it."""

from contextlib import nullcontext

import numpy as np
import onnx
import pytest
import torch

from encserve_export.attention import families
from encserve_export.attention.direction import BOTH_WAYS, Direction
from encserve_export.attention.encoding import attention, token_states
from encserve_export.attention.families import FAMILIES
from encserve_export.attention.fused_attention import fused_layers, fusing, written_out
from encserve_export.attention.packed_attention import packed_attention
from encserve_export.attention.packing import attending, constant_longest, packing_of
from encserve_export.attention.pairs import TILE
from encserve_export.certificate.alone import rows_alone
from encserve_export.certificate.guard import check_texts_are_apart
from encserve_export.engines.tensorrt_backend.operators import check_operators, rewrite_integers
from encserve_export.errors import Unsupported
from encserve_export.network.cuts import Cuts
from encserve_export.network.graph_session import session_of
from encserve_export.network.micro_batched_graph import Interface, in_micro_batches
from encserve_export.network.packed_graph import write_graph
from encserve_export.network.packed_heads import packed_network
from encserve_export.network.query_blocks import in_query_blocks
from encserve_export.network.sizes import sizes_of

from .checkpoints import MAX_LENGTH, load, write_checkpoint

LENGTHS = [5, 40, 1, MAX_LENGTH, TILE + 1]
CAUSAL = ["gemma3_text", "llama", "mistral", "qwen2", "qwen3"]
BOTH = ["gemma3_text both ways", "qwen2 both ways", "qwen3 both ways"]
CUTS = Cuts(tokens=120, places=200, padding=600, pairs=9_000)


def tokens_of(checkpoint, lengths):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(5, checkpoint.config.vocab_size, (sum(lengths),), generator=generator)


def states_of(checkpoint, input_ids, lengths):
    with attention(checkpoint.model), torch.inference_mode():
        return token_states(checkpoint.model, input_ids, packing_of(torch.tensor(lengths), len(input_ids)))


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("case", [*CAUSAL, *BOTH])
def test_a_token_sees_what_follows_only_where_the_network_looks_both_ways(case, tiled, checkpoint_of):
    checkpoint = checkpoint_of(case)
    input_ids, last = tokens_of(checkpoint, LENGTHS), sum(LENGTHS[:4]) - 1
    changed = input_ids.clone()
    changed[last] = 5 + (input_ids[last] - 4) % (checkpoint.config.vocab_size - 5)
    with constant_longest(MAX_LENGTH) if tiled else nullcontext():
        before, after = (states_of(checkpoint, ids, LENGTHS) for ids in (input_ids, changed))
    moved = (before - after).abs().amax(1) > 1e-4
    own = moved[last + 1 - LENGTHS[3] : last + 1]
    assert own[-1]
    assert bool(own[:-1].any()) == (case in BOTH)
    assert moved.sum() == own.sum(), "another text changed"


@pytest.mark.slow
@pytest.mark.parametrize("case", [*CAUSAL, *BOTH])
def test_every_engine_s_graph_gives_the_vectors_of_each_token_alone(case, tmp_path):
    """The ordinary graph, also in micro-batches with queries in blocks; the one traced with attention as one operator,
    which knows no direction and must not stand for such layers; and the one with a constant L."""
    checkpoint = load(write_checkpoint(tmp_path / "checkpoint", case), task="token-embedding")
    network, files = packed_network(checkpoint), {}
    for name, tracing in {
        "ordinary": nullcontext(),
        "fused": fusing(),
        "constant": constant_longest(checkpoint.max_length),
    }.items():
        files[name] = tmp_path / f"{name}.onnx"
        with tracing:
            write_graph(checkpoint, network, files[name])
    graphs = {name: onnx.load(file) for name, file in files.items()}
    assert fused_layers(graphs["fused"]) == (0 if case in CAUSAL else layers_without_window(checkpoint))
    graphs["fused"] = written_out(graphs["fused"])
    rewrite_integers(graphs["constant"])
    check_operators(graphs["constant"])
    blocked = onnx.load(files["ordinary"])
    assert in_query_blocks(blocked, 2_000) == checkpoint.config.num_hidden_layers
    interface = Interface(inputs=checkpoint.graph_inputs, follows={checkpoint.task.output: "input_ids"})
    graphs["in blocks"] = in_micro_batches(blocked, interface, CUTS)

    input_ids = tokens_of(checkpoint, LENGTHS)
    alone = torch.cat([rows_alone(checkpoint, ids.tolist(), None) for ids in input_ids.split(LENGTHS)]).numpy()
    feed = {"input_ids": input_ids.numpy(), "lengths": np.array(LENGTHS)}
    for name, graph in graphs.items():
        (rows,) = session_of(graph).run(None, feed)
        assert np.abs(rows - alone).max() < 1e-4, name


def layers_without_window(checkpoint):
    return checkpoint.config.layer_types.count("full_attention")


@pytest.mark.parametrize("case", CAUSAL)
def test_a_decoder_that_looks_both_ways_is_refused(case, checkpoint_of, monkeypatch):
    monkeypatch.setitem(families.FAMILIES, case, families.replace(FAMILIES[case], direction=lambda config: BOTH_WAYS))
    with pytest.raises(Unsupported, match="run packed differs from each text alone"):
        check_texts_are_apart(checkpoint_of(case))


@pytest.mark.parametrize("case", ["qwen2 both ways", "gemma3_text both ways"])
def test_a_window_that_misses_its_edge_or_has_one_too_many_is_refused(case, checkpoint_of, monkeypatch):
    family = case.split()[0]
    direction = FAMILIES[family].direction(checkpoint_of(case).config)
    turned = Direction(causal=direction.causal, edge_included=not direction.edge_included)
    monkeypatch.setitem(families.FAMILIES, family, families.replace(FAMILIES[family], direction=lambda config: turned))
    with pytest.raises(Unsupported, match="run packed differs from each text alone"):
        check_texts_are_apart(checkpoint_of(case))


@pytest.mark.parametrize("keyword", ["softcap", "s_aux", "something_new"])
def test_what_attention_does_not_know_is_refused(keyword):
    states = torch.zeros(1, 2, 3, 4)
    with (
        attending(packing_of(torch.tensor([3]), 3)),
        pytest.raises(Unsupported, match=f"Linear asks attention for {keyword}, which is not supported"),
    ):
        packed_attention(torch.nn.Linear(1, 1), states, states, states, None, dropout=0.0, **{keyword: 1.0})


def test_a_network_that_says_otherwise_than_its_family_is_refused():
    states = torch.zeros(1, 2, 3, 4)
    with attending(packing_of(torch.tensor([3]), 3)), pytest.raises(ValueError, match="says is_causal=True"):
        packed_attention(torch.nn.Linear(1, 1), states, states, states, None, is_causal=True)


def test_a_tile_of_a_decoder_has_no_keys_that_come_after_it():
    with constant_longest(8_192):
        packing = packing_of(torch.tensor([8_192, 40]), 8_232)
    pairs = packing.facing(Direction(causal=True)).pairs(65)
    assert pairs.key_at.shape == (8_232 // TILE + 2, TILE + 64)
    for query in (0, 63, 64, 4_000, 8_191, 8_192, 8_231):
        group, place = divmod(int(pairs.place_of[query]), TILE)
        begin = 0 if query < 8_192 else 8_192
        met = pairs.key_at[group][pairs.seen[group, place]]
        assert met.tolist() == list(range(max(begin, query - 64), query + 1))


@pytest.mark.parametrize("case", ["bert", *CAUSAL])
def test_what_says_whom_a_token_sees_is_counted_among_the_memory(case, checkpoint_of):
    """Where not every token of a text sees the same others, that is a tensor of its own."""
    assert bool(sizes_of([checkpoint_of(case)]).of_each_pair) == (case in CAUSAL)
