"""When a request came, from the tokenize step to the head step."""

import numpy as np
import pytest

from encserve_server.steps.request.arrival import arrival_tensor, arrived_s
from encserve_server.steps.request.options import InvalidArgument


@pytest.mark.parametrize("since_s", [0.0, 12.345678912, 1e7 + 0.25])
def test_it_is_told_to_the_nanosecond(since_s):
    tensor = arrival_tensor(since_s)
    assert (tensor.dtype, tensor.shape) == (np.int64, (1, 1))
    assert arrived_s(tensor[0]) == pytest.approx(since_s, abs=1e-8)


@pytest.mark.parametrize("shape", [(0,), (2,), (1, 1)])
def test_anything_but_one_number_is_a_mistake_of_the_caller(shape):
    with pytest.raises(InvalidArgument, match=r"input arrived_ns has shape \[1, .*\]; \[1, 1\] is expected"):
        arrived_s(np.zeros(shape, np.int64))
