import numpy as np
import pytest

from encserve_export.precision.layers.linear import RunningStatistics
from encserve_export.precision.rounding.weights import column_scales, round_weights


def layer(seed=0, tokens=600, size=48, width=20):
    """Inputs whose columns go together, as those of a network do, and a matrix."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(tokens, 8)) @ rng.normal(size=(8, size)) + 0.1 * rng.normal(size=(tokens, size))
    return inputs, rng.normal(size=(size, width)).astype(np.float32)


def test_scales_and_integers_stand_for_the_weights():
    inputs, weight = layer()
    scale = column_scales(weight, inputs.T @ inputs)
    integers = round_weights(weight, scale, inputs.T @ inputs)
    assert (integers.dtype, integers.shape, scale.shape) == (np.int8, weight.shape, (20,))
    assert np.abs(inputs @ (integers * scale) - inputs @ weight).max() < 0.05 * np.abs(inputs @ weight).max()


def test_products_change_less_than_with_each_weight_rounded_by_itself():
    inputs, weight = layer()
    products = inputs.T @ inputs
    scale = column_scales(weight, products)

    def error(integers):
        return np.square(inputs @ (integers * scale) - inputs @ weight).sum()

    nearest = np.clip(np.rint(weight / scale), -127, 127)
    assert error(round_weights(weight, scale, products)) < 0.5 * error(nearest)


def test_columns_that_never_moved_and_weights_of_zero_are_no_trouble():
    inputs, weight = layer()
    inputs[:, 3] = 0
    weight[:, 5] = 0
    products = inputs.T @ inputs
    scale = column_scales(weight, products)
    integers = round_weights(weight, scale, products)
    assert np.isfinite(scale).all()
    assert (scale > 0).all()
    assert not integers[:, 5].any()
    empty = np.zeros_like(products)
    assert np.array_equal(round_weights(weight, scale, empty), np.clip(np.rint(weight / scale), -127, 127))


@pytest.mark.parametrize("parts", [1, 3])
def test_a_column_that_is_far_from_zero_and_hardly_moves_is_no_trouble(parts):
    """What is left of its products once its mean is taken away is lost in FP32, and could come out below zero."""
    rows = np.random.default_rng(0).normal(size=(3_000, 16))
    rows[:, 7] = 300 + 0.01 * rows[:, 7]
    split = np.split(rows.astype(np.float32), parts)
    running = RunningStatistics(split[0])
    for part in split:
        running.add(part)
    statistics = running.so_far()
    shift, factor = statistics.mean.astype(np.float32), np.ones(16, np.float32)
    factor[7] = 0.01
    moved = (rows.astype(np.float32).astype(np.float64) - shift) / factor
    products = statistics.products_of(shift, factor)
    assert np.abs(products - moved.T @ moved).max() < 1e-3 * len(rows)
    weight = np.random.default_rng(1).normal(size=(16, 4)).astype(np.float32)
    assert round_weights(weight, column_scales(weight, products), products).any()
