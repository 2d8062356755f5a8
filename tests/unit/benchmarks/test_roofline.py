"""The arithmetic of the roofline, and the products that stand for it."""

import json

import numpy as np
import pytest
from benchmarks.closed_loop import Load
from benchmarks.exported import CHECKPOINT
from benchmarks.roofline.linear_layers import LinearLayers
from benchmarks.roofline.products import PRODUCTS, Shape
from benchmarks.systems import roofline

MINILM = LinearLayers.of_config(json.loads((CHECKPOINT / "config.json").read_text()))


def test_a_multiplication_and_an_addition_for_each_weight_of_the_linear_layers():
    from safetensors import safe_open

    with safe_open(CHECKPOINT / "model.safetensors", "np") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys() if "encoder" in name]  # noqa: SIM118
    assert MINILM.flops_per_token == 2 * sum(rows * columns for rows, columns in (s for s in shapes if len(s) == 2))
    assert MINILM.tokens_per_s(1e9) == pytest.approx(1e9 / 21_233_664)


def test_a_gate_is_a_third_matrix():
    base = {"num_hidden_layers": 22, "hidden_size": 768, "intermediate_size": 1152}
    modern = LinearLayers.of_config({**base, "model_type": "modernbert"})
    plain = LinearLayers.of_config(base)
    assert modern.flops_per_token - plain.flops_per_token == 2 * 22 * 768 * 1152
    assert plain.attention_flops(512) == 4 * plain.attention_flops(256) == 22 * 2 * 2 * 512 * 512 * 768


@pytest.mark.parametrize(("precision", "library"), PRODUCTS)
def test_every_library_multiplies(precision, library):
    product = PRODUCTS[precision, library](Shape(8, 16, 32))
    result = product()
    assert np.shape(result[0] if library == "onnxruntime" else result) == (8, 32)


def test_whole_texts_and_their_part_of_the_time():
    flops = np.cumsum([10.0, 20.0, 10.0, 60.0])
    done = roofline.done_of(flops, 45.0, 9.0)
    assert (done.texts, done.wall_s) == (3, 8.0)
    assert roofline.done_of(flops, 5.0, 1.0).wall_s == 2.0  # the first text is not done, and is counted whole
    done = roofline.done_of(flops, 110.0, 11.0)
    assert (done.texts, done.wall_s) == (4, 10.0)


def test_a_load_is_done_with_its_operations_or_with_its_time(monkeypatch):
    monkeypatch.setattr(roofline, "SHAPES", (Shape(32, 8, 8), Shape(64, 64, 64)))
    monkeypatch.setattr(roofline, "TRIAL_SECONDS", 0.001)
    system = roofline.System("fp32")
    few = Load([["a text"], ["another text"]], streams=1, cap_s=60.0)
    done = system.run(few, "numpy")
    assert done.texts == 2
    assert done.wall_s > 0
    monkeypatch.setattr(roofline, "SECONDS", 0.01)
    many = Load([["a text " * 100] * 32] * 64, streams=4, cap_s=60.0)
    assert 0 < system.run(many, "torch").texts < 64 * 32


def test_a_processor_without_the_instructions_has_no_roofline_in_that_precision(monkeypatch):
    monkeypatch.setattr(roofline, "read_cpu_flags", lambda: frozenset({"avx2"}))
    with pytest.raises(SystemExit, match="no instruction for products in int8: it lacks avx512_vnni or"):
        roofline.System("int8")
