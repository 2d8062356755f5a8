"""What the encode step of engine python puts into a micro-batch, against what its memory is stated for."""

import numpy as np
import pytest

from encserve_export.config import Precision
from encserve_export.engines.python_backend.python_onnxruntime import ONNXRUNTIME
from encserve_export.engines.python_backend.python_openvino import OPENVINO
from encserve_export.network.sizes import Sizes
from encserve_export.precision.whole_blocks import BLOCK
from encserve_server.steps.encode.network.micro_batches import micro_batches

BATCHES = {
    "one token each": np.ones(3_000, np.int64),
    "all as long as a block and one": np.full(400, BLOCK + 1),
    "of all lengths": np.arange(1, 257),
    "mostly short": np.random.default_rng(0).geometric(0.05, 2_000).clip(max=256),
}


@pytest.mark.parametrize("lengths", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("width", [128, 384, 1_024])
@pytest.mark.parametrize(("engine", "block"), [(ONNXRUNTIME, 1), (OPENVINO, BLOCK)], ids=["onnxruntime", "openvino"])
def test_no_micro_batch_has_more_places_or_pairs_than_its_memory_is_stated_for(engine, block, width, lengths):
    """With OpenVINO the padded view of attention has whole blocks of places."""
    sizes = Sizes(width=width, inner=4 * width, heads=12)
    for budget in (512, 64):
        cuts = engine.cuts(sizes, Precision.FP32, budget)
        cost = engine.precisions[Precision.FP32].micro_batch_cost(width)
        for group in micro_batches(lengths, token_budget=budget, workers=1, cost=cost):
            places = -(-int(lengths[group].max()) // block) * block
            assert len(group) * places <= max(cuts.places, places)
            assert len(group) * places**2 <= max(cuts.tokens * min(256, cuts.tokens) + cuts.padding, places**2)
