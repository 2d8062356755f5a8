"""How large a batch of a plan may be."""

import pytest

from encserve_export.engines.tensorrt_backend.profile import ATTENTION_PLACES, LONGEST, bounds_of, profile_of
from encserve_export.errors import InvalidConfig


@pytest.mark.parametrize("max_length", [3, 64, 128, 256, 384, 512, 1024, LONGEST])
def test_memory_is_bounded_and_a_batch_still_holds_several_texts(max_length):
    bounds = bounds_of(max_length)
    assert bounds.rows * max_length**2 <= ATTENTION_PLACES
    assert bounds.requests * bounds.texts_per_request >= 2
    assert bounds.tokens_per_request >= max_length


def test_the_usual_lengths():
    assert [(b.requests, b.texts_per_request) for b in map(bounds_of, (128, 256, 512, 2048))] == [
        (16, 16),
        (8, 16),
        (4, 8),
        (1, 2),
    ]


@pytest.mark.parametrize("room", [1, 7, 64, 500])
def test_the_windows_of_a_request_fit(room):
    """As many texts as there may be, cut into windows in every way that the tokens of a request allow."""
    bounds = bounds_of(512)
    for texts in range(1, bounds.texts_per_request + 1):
        full = (bounds.tokens_per_request - texts * room) // 512  # windows of the maximum length, and a last one a text
        assert bounds.requests * (full + texts) <= bounds.rows


def test_texts_beyond_what_attention_can_pad_are_refused():
    with pytest.raises(InvalidConfig, match=r"2048 tokens are the most, and this checkpoint takes 8192: give --max-l"):
        bounds_of(8192)


def test_a_profile_is_best_at_a_full_batch_of_texts_like_those_of_the_calibration():
    bounds = bounds_of(256)
    profile = profile_of(bounds, ("input_ids", "lengths", "token_type_ids", "mask_at"), [10, 30, 50])
    assert profile == {
        "input_ids": ((1,), (8 * 30,), (8 * 16 * 256,)),
        "lengths": ((1,), (8,), (2 * 8 * 16,)),
        "token_type_ids": ((1,), (240,), (32768,)),
        "mask_at": ((1,), (8,), (32768,)),
    }
    assert list(profile_of(bounds, ("lengths", "input_ids"), [1])) == ["lengths", "input_ids"]
