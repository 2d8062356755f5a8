"""What limits a server is named."""

import pytest
from unit.loadtest.windows import step, window

from encserve_loadtest.measurement.bottleneck import find_bottleneck


@pytest.mark.parametrize(
    ("steps", "cpu_s", "limit"),
    [
        ({"tokenize": step(busy=0.9), "encode": step(busy=0.6)}, 1, "tokenize"),
        ({"tokenize": step(busy=0.3), "encode": step(busy=0.8)}, 1, "compute"),
        ({"tokenize": step(), "encode": step(queue_s=0.2)}, 1, "queue"),
        ({"tokenize": step(), "encode": step(compute_s=0.2)}, 1, "compute"),
        ({"encode": step(busy=1.0)}, 9.5, "client"),
        ({}, 1, "unknown"),
    ],
)
def test_the_bottleneck_is_named(steps, cpu_s, limit):
    assert find_bottleneck(window(steps=steps, cpu_s=cpu_s)).limit == limit


def test_times_of_triton_say_nothing_of_a_generate_step():
    found = find_bottleneck(window(steps={"generate": step(busy=0.9)}, cpu_s=1.0))
    assert found.limit == "unknown"
    assert "encserve_generate_waiting_texts" in found.reason
