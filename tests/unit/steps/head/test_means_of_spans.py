"""The head that gives the means of spans."""

import numpy as np
import pytest

from encserve_server.steps.head.answers.vectors.token_or_span_vectors import means_of
from encserve_server.steps.request.options import InvalidArgument


def test_means_of_spans_that_overlap():
    rows = np.random.default_rng(5).normal(size=(50, 130)).astype(np.float32)
    at = np.array([[0, 50], [3, 4], [3, 40], [49, 50]], np.int32)
    expected = np.stack([rows[begin:end].mean(axis=0, dtype=np.float64) for begin, end in at])
    np.testing.assert_allclose(means_of(rows, at, np.array([3, 1], np.int32)), expected, rtol=0, atol=1e-7)
    assert means_of(rows, at[:0], np.array([0, 0], np.int32)).shape == (0, 130)


def test_spans_of_the_whole_text_cost_no_more_than_it(monkeypatch):
    """A request may have 65,536 spans of so many tokens, whose rows together are four thousand million."""
    added, cumsum = [], np.cumsum

    def counting(rows, *args, **kwargs):
        added.append(rows.size)
        return cumsum(rows, *args, **kwargs)

    monkeypatch.setattr(np, "cumsum", counting)
    rows = np.ones((65_536, 2), np.float32)
    at = np.tile(np.array([0, 65_536], np.int32), (65_536, 1))
    assert (means_of(rows, at, np.array([65_536], np.int32)) == 1).all()
    assert added == [rows.size]


@pytest.mark.parametrize(("at", "counts"), [([[0, 4]], [1]), ([[2, 2]], [1]), ([[-1, 2]], [1]), ([[0, 1]], [2])])
def test_spans_that_no_request_has_are_refused(at, counts):
    with pytest.raises(InvalidArgument, match="input span_"):
        means_of(np.ones((3, 2), np.float32), np.array(at, np.int32), np.array(counts, np.int32))
