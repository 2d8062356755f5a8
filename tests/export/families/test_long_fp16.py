"""fp16 of families that turn queries and keys by their positions, up to the 8,192 tokens that they were trained for."""

import numpy as np
import onnx
import pytest

from encserve_export.config import Precision
from encserve_export.engines.served_encoder import BatchedPacks
from encserve_export.errors import WayFailed
from encserve_export.network.graph_session import session_of
from encserve_export.network.packed_graph import write_graph
from encserve_export.network.packed_heads import packed_network
from encserve_export.precision.half import full_nodes
from encserve_export.precision.half.gpu_rounding import strictly_rounded
from encserve_export.precision.half.graph import halve
from export.certificate.staged import stage

from .checkpoints import load, write_checkpoint

LONGEST = 8_192
SMALL = {
    "hidden_size": 16,
    "num_attention_heads": 1,
    "intermediate_size": 16,
    "max_position_embeddings": LONGEST,
}
"""One head: attention among 8,192 tokens takes 256 MiB for each, several times over."""
OF_ITS_OWN = {"eurobert": {"num_key_value_heads": 1}, "modernbert": {"layer_types": ["full_attention"] * 2}}


FAMILIES = ("eurobert", "gte", "jina_embeddings_v3", "modernbert", "nomic_bert")


@pytest.fixture(params=FAMILIES, scope="module")
def graphs(request, tmp_path_factory):
    """The FP32 graph of a family, and the fp16 one as a GPU rounds it."""
    folder = tmp_path_factory.mktemp("long")
    changes = SMALL | OF_ITS_OWN.get(request.param, {})
    checkpoint = load(write_checkpoint(folder / "checkpoint", request.param, max_length=LONGEST, **changes))
    assert checkpoint.max_length == LONGEST
    write_graph(checkpoint, packed_network(checkpoint), folder / "model.onnx")
    full = onnx.load(folder / "model.onnx")
    return full, strictly_rounded(halve(full, []).model)


def feed_of(model, length):
    known = {
        "input_ids": np.random.default_rng(length).integers(5, 300, length),
        "lengths": np.array([length], np.int64),
        "token_type_ids": np.zeros(length, np.int64),
    }
    return {each.name: known[each.name] for each in model.graph.input}


@pytest.mark.slow  # a graph for each family, and texts of up to 8,192 tokens
def test_angles_are_exact_at_every_position(graphs):
    """Sines and cosines of one text of 8,192 tokens, in fp16 as in FP32 but for the rounding of their own values."""
    full, half = graphs
    waves = [name for node in full.graph.node if node.op_type in ("Sin", "Cos") for name in node.output]
    assert waves
    values = []
    for model in (full, half):
        opened = onnx.ModelProto()
        opened.CopyFrom(model)
        types = {each.name: each.type.tensor_type.elem_type for each in model.graph.value_info}
        del opened.graph.output[:]
        opened.graph.output.extend(
            onnx.helper.make_tensor_value_info(name, types.get(name, onnx.TensorProto.FLOAT), None) for name in waves
        )
        values.append(session_of(opened).run(waves, feed_of(full, LONGEST)))
    for name, exact, ours in zip(waves, *values, strict=True):
        assert np.abs(ours.astype(np.float32) - exact).max() < 1e-3, name


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 511, 2_047, LONGEST])
def test_vectors_of_every_length_are_those_of_fp32(graphs, length):
    (exact,), (ours,) = (session_of(model).run(None, feed_of(graphs[0], length)) for model in graphs)
    assert np.isfinite(ours).all()
    cosine = (exact * ours).sum() / np.linalg.norm(exact) / np.linalg.norm(ours)
    assert cosine > 0.9999


LONG = {
    "max_position_embeddings": 1_024,
    "hidden_size": 64,
    "num_attention_heads": 1,
    "intermediate_size": 64,
}


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    """Nomic BERT with heads as wide as those of real checkpoints, and 1,024 tokens; and its FP32 graph."""
    folder = tmp_path_factory.mktemp("staged")
    checkpoint = write_checkpoint(folder / "checkpoint", "nomic_bert", max_length=1_024, **LONG)
    staged = stage(folder / "staged", checkpoint, task="feature-extraction")
    write_graph(staged.checkpoint, packed_network(staged.checkpoint), folder / "model.onnx")
    return staged, onnx.load(folder / "model.onnx")


def certify_in_fp16(staged):
    """The certificate of the graph in fp16, as a GPU rounds it."""
    pipeline, full = staged
    session = session_of(strictly_rounded(halve(full, []).model))
    network = lambda pack, outputs: session.run(list(outputs), dict(pack))  # noqa: E731
    with BatchedPacks(network, follows={"sentence_embedding": "lengths"}, max_requests=1) as encoder:
        return pipeline.certify(encoder, precision=Precision.FP16)


@pytest.mark.slow
def test_every_length_class_is_held_against_the_library(staged):
    parity = certify_in_fp16(staged)
    assert max(parity["lengths"]["token_counts"]) == 1_024
    assert len(parity["lengths"]["max_abs_diff_by_text"]) == len(parity["lengths"]["token_counts"]) > 30
    assert {"length_cosine_min", "length_max_abs_diff", "length_growth"} <= {*parity["figures"]}
    assert parity["figures"]["length_growth"]["worst_tokens"] > 64


def test_angles_in_fp16_are_refused_though_every_text_is_within_its_limits(staged, monkeypatch):
    monkeypatch.setattr(full_nodes, "_angles", lambda *_: set())
    only = r"^length_growth is [^;]*, must be at most 3; worst is text \d+ of \d+ tokens: [^;]*$"
    with pytest.raises(WayFailed, match=only):
        certify_in_fp16(staged)
