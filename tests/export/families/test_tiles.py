"""Attention in tiles, as in the graph with a constant L: the numbers of the ordinary layout, for less than n L^2."""

from functools import cache

import numpy as np
import onnx
import pytest
import torch

from encserve_export.attention.encoding import attention, token_states
from encserve_export.attention.families import FAMILIES
from encserve_export.attention.packing import constant_longest, packing_of
from encserve_export.attention.pairs import TILE
from encserve_export.engines.tensorrt_backend.operators import check_operators, rewrite_integers
from encserve_export.network.graph_file import write_graph_file
from encserve_export.network.graph_session import session_of
from encserve_export.network.packed_graph import write_graph
from encserve_export.network.packed_heads import packed_network
from encserve_export.precision.half.gpu_rounding import strictly_rounded
from encserve_export.precision.half.graph import halve
from export.network.peaks import peak_of

from .checkpoints import CASES, MAX_LENGTH, load, write_checkpoint
from .test_matrix import LargestTensor

PACKS = ([1], [TILE], [TILE + 1, 3], [MAX_LENGTH, 1, MAX_LENGTH], [5] * 40, [128, 0, 127, 129, 2], [0, 9, 0])
TILED = [case for case in CASES if not FAMILIES[case.split()[0]].padded]
"""The others pad the whole network, attention and all."""
PECULIAR = ("bert", "deberta-v2 like v3", "modernbert", "t5")
"""Plain; scores of positions; windows; one bias for all layers."""


def slow_but(few, cases):
    """Cases as parameters, of which all but a few are slow."""
    return [case if case in few else pytest.param(case, marks=pytest.mark.slow) for case in cases]


def states_of(checkpoint, lengths):
    input_ids = torch.randint(5, 300, (sum(lengths),), generator=torch.Generator().manual_seed(sum(lengths)))
    with attention(checkpoint.model), torch.inference_mode():
        return token_states(checkpoint.model, input_ids, packing_of(torch.tensor(lengths), len(input_ids)))


@pytest.mark.parametrize("case", TILED)
def test_every_token_gets_the_numbers_of_the_ordinary_layout(case, checkpoint_of):
    checkpoint = checkpoint_of(case)
    for lengths in PACKS:
        expected = states_of(checkpoint, lengths)
        with constant_longest(MAX_LENGTH):
            assert packing_of(torch.tensor(lengths), sum(lengths)).tiled
            assert (states_of(checkpoint, lengths) - expected).abs().max() < 2e-5, lengths


def largest_tensor(checkpoint, lengths):
    with constant_longest(MAX_LENGTH), LargestTensor() as largest:
        states_of(checkpoint, lengths)
    return largest.elements


@pytest.mark.parametrize("case", slow_but(PECULIAR, TILED))
def test_scores_grow_with_tokens_times_the_longest_and_not_with_texts_times_its_square(case, checkpoint_of):
    """600 texts, of which one is as long as there may be."""
    checkpoint, lengths = checkpoint_of(case), [MAX_LENGTH] + [2] * 599
    tiles, heads = sum(lengths) // TILE + len(lengths), 4
    bound = heads * tiles * TILE * MAX_LENGTH
    assert bound < heads * len(lengths) * MAX_LENGTH**2 / 2
    assert largest_tensor(checkpoint, lengths) <= bound


def test_a_few_short_texts_are_padded_to_no_more_than_their_tokens(checkpoint_of):
    heads, width, vocabulary = 4, 48, 401
    most = max(heads * TILE * 30, 30 * width, vocabulary * 32)
    assert largest_tensor(checkpoint_of("bert"), [30]) <= most


def test_a_tile_meets_the_keys_within_the_reach_of_its_window():
    with constant_longest(8_192):
        pairs = packing_of(torch.tensor([8_192, 40]), 8_232).pairs(65)
    assert pairs.query_at.shape == (8_232 // TILE + 2, TILE)
    assert pairs.key_at.shape == (8_232 // TILE + 2, TILE + 128)
    for query in (0, 63, 64, 4_000, 8_191, 8_192, 8_231):
        group, place = divmod(int(pairs.place_of[query]), TILE)
        begin, end = (0, 8_192) if query < 8_192 else (8_192, 8_232)
        met = pairs.key_at[group][pairs.seen[group, place]]
        assert met.tolist() == list(range(max(begin, query - 64), min(end, query + 65)))


@pytest.fixture(scope="module")
def graphs_of(tmp_path_factory):
    """The ordinary graph of a case, and the one with a constant L; tracing takes seconds."""

    @cache
    def trace(case):
        folder = tmp_path_factory.mktemp("graphs")
        checkpoint = load(write_checkpoint(folder / "checkpoint", case))
        network = packed_network(checkpoint)
        write_graph(checkpoint, network, folder / "ordinary.onnx")
        with constant_longest(checkpoint.max_length):
            write_graph(checkpoint, network, folder / "constant.onnx")
        tiled = onnx.load(folder / "constant.onnx")
        rewrite_integers(tiled)
        write_graph_file(tiled, folder / "constant.onnx")
        return folder / "ordinary.onnx", folder / "constant.onnx"

    return lambda case: [onnx.load(file) for file in trace(case)] + [trace(case)[1]]


def vectors_of(model, lengths):
    feed = {"input_ids": np.random.default_rng(0).integers(5, 300, sum(lengths)), "lengths": np.array(lengths)}
    (rows,) = session_of(model).run(None, feed)
    return rows[np.array(lengths) > 0]


@pytest.mark.slow
@pytest.mark.parametrize("case", TILED)
def test_a_graph_of_operators_that_tensorrt_has_gives_the_numbers_of_the_ordinary_one(case, graphs_of):
    ordinary, tiled, _ = graphs_of(case)
    check_operators(tiled)
    for lengths in PACKS:
        assert np.abs(vectors_of(tiled, lengths) - vectors_of(ordinary, lengths)).max() < 2e-5, lengths


@pytest.mark.slow
@pytest.mark.parametrize("case", ["bert", "modernbert"])
def test_in_fp16_it_gives_the_numbers_of_the_ordinary_graph_in_fp32(case, graphs_of):
    ordinary, tiled, _ = graphs_of(case)
    half = strictly_rounded(halve(tiled, []).model)
    for lengths in PACKS:
        ours, exact = vectors_of(half, lengths), vectors_of(ordinary, lengths)
        assert np.isfinite(ours).all()
        cosines = (ours * exact).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(exact, axis=1)
        assert cosines.min() > 0.999, lengths


@pytest.mark.slow
def test_a_process_takes_the_memory_of_tiles(graphs_of):
    """2,000 texts, one of them as long as there may be. Padded to it, the scores of 4 heads take 819 MB in each array,
    of which two live at once at the least; those of tiles take 338 MB."""
    _, _, file = graphs_of("bert")
    lengths = [MAX_LENGTH] + [2] * 1_999
    scores = 4 * 4 * (sum(lengths) // TILE + len(lengths)) * TILE * MAX_LENGTH
    padded = 4 * 4 * len(lengths) * MAX_LENGTH**2
    assert peak_of(file, lengths) < 4 * scores < 2 * padded
