"""The graph that cuts a batch into micro-batches by itself: the numbers of the packed network, in bounded memory."""

from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
import transformers

from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import Engine, ExportConfig
from encserve_export.export import export
from encserve_export.network.cuts import Cuts
from encserve_export.network.micro_batched_graph import Interface, in_micro_batches
from encserve_export.network.packed_graph import write_graph
from encserve_export.network.packed_heads import packed_network
from encserve_server.steps.tokenize.door.one_token import one_token
from export.small_checkpoints import MASK, make_checkpoint

from .peaks import peak_of

LONGEST = 64
CUTS = Cuts(tokens=100, places=150, padding=400, pairs=5_000)
HEADS = {
    "feature-extraction": (transformers.AutoModel, "lengths"),
    "text-classification": (transformers.AutoModelForSequenceClassification, "lengths"),
    "token-classification": (transformers.AutoModelForTokenClassification, "input_ids"),
    "fill-mask": (transformers.AutoModelForMaskedLM, "mask_at"),
}
SOME = [
    task if task in ("feature-extraction", "fill-mask") else pytest.param(task, marks=pytest.mark.slow)
    for task in HEADS
]
"""All of them, of which those that follow texts or tokens likewise are slow."""
MAX_DIFFERENCE = 5e-5
"""Of rounding; logits are as large as 10."""
MIXES = ([1], [LONGEST], [1, LONGEST], [LONGEST, 1], [1] * 150, [LONGEST] * 9, [9, 8, 7, 9, 8, 7], [33, 2, 17, 64, 8])


@pytest.fixture(scope="module")
def sessions_of(tmp_path_factory):
    """By task, the packed network as it was traced and in micro-batches, with what the batch follows."""

    @cache
    def sessions(task):
        network, followed = HEADS[task]
        folder = tmp_path_factory.mktemp(task)
        made = make_checkpoint(folder / "checkpoint", network=network)
        checkpoint = load_checkpoint(ExportConfig(checkpoint=str(made), name="tiny", repository=folder, task=task))
        write_graph(checkpoint, packed_network(checkpoint), folder / "model.onnx")
        inputs, output = checkpoint.graph_inputs, checkpoint.task.output
        interface = Interface(inputs=inputs, follows={output: followed}, mask_id=MASK if "mask_at" in inputs else None)
        cut = in_micro_batches(onnx.load(folder / "model.onnx"), interface, CUTS)
        onnx.checker.check_model(cut, full_check=True)
        return session(onnx.load(folder / "model.onnx")), session(cut)

    return sessions


def session(graph):
    """A session with the options that Triton's backend has from our configuration."""
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(network, feed):
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return network.run(None, feed, options)[0]


def feed_of(network, lengths, seed=0):
    """Texts of `lengths` for a graph, every fifth token a mask."""
    generator = np.random.default_rng(seed)
    ids = generator.integers(5, 300, sum(lengths))
    ids[::5] = MASK
    known = {
        "input_ids": ids,
        "lengths": np.array(lengths, np.int64),
        "token_type_ids": generator.integers(0, 2, len(ids)),
        "mask_at": np.flatnonzero(ids == MASK),
    }
    return {value.name: known[value.name] for value in network.get_inputs()}


def random_mixes():
    generator = np.random.default_rng(3)
    for texts in (2, 5, 40, 130):
        yield np.clip(generator.lognormal(2.5, 1, texts).astype(int), 1, LONGEST).tolist()


@pytest.mark.parametrize("task", SOME)
def test_it_gives_the_numbers_of_the_packed_network(task, sessions_of):
    packed, cut = sessions_of(task)
    assert [(each.name, each.shape, each.type) for each in packed.get_inputs()] == [
        (each.name, each.shape, each.type) for each in cut.get_inputs()
    ]
    for lengths in (*MIXES, *random_mixes()):
        feed = feed_of(packed, lengths)
        expected = run(packed, feed)
        assert run(cut, feed).shape == expected.shape
        assert np.abs(run(cut, feed) - expected).max() < MAX_DIFFERENCE, lengths


def test_a_text_without_tokens_takes_nothing_from_the_others(sessions_of):
    packed, cut = sessions_of("feature-extraction")
    for lengths in ([3, 0, 9, 0], [0, 0, 5], [0] * 300 + [LONGEST]):
        feed = feed_of(packed, lengths)
        real = np.array(lengths) > 0
        assert np.abs(run(cut, feed) - run(packed, feed))[real].max() < MAX_DIFFERENCE
    assert run(cut, feed_of(packed, [0, 0])).shape == (2, 32)


@pytest.mark.parametrize("task", SOME)
def test_a_batch_gives_each_request_the_rows_that_it_has_alone(task, sessions_of):
    """Sixteen requests, joined as Triton's backend joins them."""
    _, cut = sessions_of(task)
    generator = np.random.default_rng(5)
    requests = [
        feed_of(cut, np.clip(generator.lognormal(2, 1, 7).astype(int), 1, LONGEST).tolist(), seed) for seed in range(16)
    ]
    together = run(cut, {name: np.concatenate([request[name] for request in requests]) for name in requests[0]})
    alone = np.concatenate([run(cut, request) for request in requests])
    assert np.abs(together - alone).max() < MAX_DIFFERENCE


def test_requests_with_few_masks_stand_beside_those_with_many(sessions_of):
    packed, cut = sessions_of("fill-mask")
    ids = np.array([7, 8, 9, MASK, MASK, 7, 8, 9, 7, MASK])
    feed = {"input_ids": ids, "lengths": np.array([3, 2, 4, 1]), "mask_at": np.array([3, 4, 9])}
    assert np.abs(run(cut, feed) - run(packed, feed)).max() < MAX_DIFFERENCE


@pytest.mark.parametrize("way", [0, 1], ids=["packed", "cut"])
def test_a_marker_between_two_requests_takes_no_row_of_theirs(way, sessions_of):
    network = sessions_of("fill-mask")[way]
    names = ("input_ids", "lengths", "mask_at")
    first = {"input_ids": np.array([7, MASK, 8, MASK]), "lengths": np.array([4]), "mask_at": np.array([1, 3])}
    last = {"input_ids": np.array([9, MASK, 10]), "lengths": np.array([3]), "mask_at": np.array([1])}
    marker = {name: value[0] for name, value in one_token(names, MASK).items()}
    batch = [first, marker, last]
    together = run(network, {name: np.concatenate([request[name] for request in batch]) for name in names})
    assert np.abs(together[:2] - run(network, first)).max() < MAX_DIFFERENCE
    assert np.abs(together[3:] - run(network, last)).max() < MAX_DIFFERENCE


def test_one_long_text_in_each_request_takes_little_memory(export_config):
    """Padded to the longest, the scores of the 2,000 texts alone have 4 heads * 2,000 * 64 * 64 floats: 131 MB.

    With the arena that Triton's backend has, which keeps more than is asked of it."""
    config = replace(export_config, engine=Engine.ONNXRUNTIME)
    manifest = export(config)
    graph = config.repository / "tiny_encode" / "1" / "model.onnx"
    took = peak_of(graph, ([LONGEST] + [6] * 124) * 16, arena=True)
    assert took < 40e6
    assert took < manifest.memory["batch_bytes"]
    assert manifest.memory["requests_per_batch"] == 16
