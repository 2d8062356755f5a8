import numpy as np
import pytest

from encserve_server.models.micro_batches import micro_batches


def split(lengths, **settings):
    return [group.tolist() for group in micro_batches(np.array(lengths, np.int64), **settings)]


def test_longest_texts_come_first_in_groups_of_about_the_budget():
    groups = split([3, 9, 1, 8, 2], token_budget=10, workers=1)
    assert groups == [[1], [3], [0, 4, 2]]


def test_a_text_above_the_budget_stands_alone():
    assert split([500, 2], token_budget=100, workers=1) == [[0], [1]]


def test_workers_share_a_batch_that_one_group_could_hold():
    assert len(split([10] * 8, token_budget=1000, workers=4)) == 4


def test_workers_get_equal_shares():
    lengths = np.random.default_rng(1).lognormal(3.1, 0.8, 64).astype(np.int64)
    groups = micro_batches(lengths, token_budget=512, workers=2)
    tokens = [lengths[group].sum() for group in groups]
    assert len(groups) % 2 == 0
    assert max(tokens) - min(tokens) <= lengths.max()


def test_texts_of_no_tokens_are_kept():
    assert split([0, 0], token_budget=10, workers=2) == [[0, 1]]


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("token_budget", [1, 64, 10_000])
def test_every_text_is_in_exactly_one_group(workers, token_budget):
    lengths = np.random.default_rng(0).integers(0, 300, 200)
    groups = micro_batches(lengths, token_budget=token_budget, workers=workers)
    assert sorted(np.concatenate(groups).tolist()) == list(range(200))
    for group in groups:
        assert len(group) == 1 or lengths[group].sum() <= token_budget + lengths[group].max()
