import numpy as np
import pytest

from encserve_server.steps.encode.network.micro_batches import Cost, micro_batches

MINILM = Cost(overhead=10, pair=0.44 / 384)


def split(lengths, *, token_budget=512, workers=1, cost=MINILM):
    groups = micro_batches(np.array(lengths, np.int64), token_budget=token_budget, workers=workers, cost=cost)
    return [group.tolist() for group in groups]


def cost_of(lengths, groups):
    """By the formula of the module."""
    lengths = np.array(lengths)
    return sum(
        MINILM.overhead + lengths[group].sum() + MINILM.pair * len(group) * lengths[group].max() ** 2
        for group in map(list, groups)
    )


def test_texts_of_similar_lengths_share_a_group():
    assert split([200, 10, 190, 12, 9]) == [[0, 2], [3, 1, 4]]


def test_where_attention_costs_nothing_groups_fill_the_budget():
    assert split([9, 5, 1, 8, 2], token_budget=10, cost=Cost(overhead=10, pair=0)) == [[0], [3], [1, 4, 2]]


def test_a_text_above_the_budget_stands_alone():
    assert split([500, 2], token_budget=100) == [[0], [1]]


def test_the_groups_with_most_tokens_come_first():
    lengths = np.random.default_rng(2).integers(1, 256, 80)
    tokens = [lengths[group].sum() for group in split(lengths)]
    assert tokens == sorted(tokens, reverse=True)


def test_workers_share_a_batch_that_one_group_could_hold():
    assert len(split([10] * 8, token_budget=1000, workers=4)) == 4
    assert split([10, 10], workers=2) == [[0], [1]]
    assert split([30], workers=2) == [[0]]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_that_take_the_next_group_end_at_about_the_same_time(workers):
    lengths = np.random.default_rng(1).lognormal(3.1, 0.8, 64).astype(np.int64)
    ends = [0.0] * workers
    for group in split(lengths, workers=workers):
        ends[ends.index(min(ends))] += lengths[group].sum()
    assert max(ends) <= 1.25 * lengths.sum() / workers


@pytest.mark.parametrize("count", [8, 16, 32, 64])
def test_it_costs_little_more_than_the_best_cut_of_texts_in_this_order(count):
    """The best by dynamic programming over all cuts."""
    lengths = np.random.default_rng(count).lognormal(3.3, 0.7, count).clip(3, 256).astype(np.int64)
    ordered = np.sort(lengths)[::-1]
    best = [0.0]
    for end in range(1, count + 1):
        best.append(
            min(
                best[begin]
                + MINILM.overhead
                + ordered[begin:end].sum()
                + MINILM.pair * (end - begin) * ordered[begin] ** 2
                for begin in range(end)
            )
        )
    assert best[-1] <= cost_of(lengths, split(lengths, token_budget=100_000)) <= 1.05 * best[-1]


def test_texts_of_no_tokens_are_kept():
    assert split([0, 0], token_budget=10, workers=2) == [[0, 1]]
    assert split([]) == []


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("token_budget", [1, 64, 10_000])
def test_every_text_is_in_exactly_one_group(workers, token_budget):
    lengths = np.random.default_rng(0).integers(0, 300, 200)
    groups = split(lengths, token_budget=token_budget, workers=workers)
    assert sorted(np.concatenate(groups).tolist()) == list(range(200))
    for group in groups:
        assert len(group) == 1 or lengths[group].sum() <= token_budget
