"""How two versions differ in what `embed_hybrid` gives: by each of its outputs that both have."""

from dataclasses import replace

import pytest
from unit.client.hybrid.test_scores import embeddings

from encserve_gateway.shadow.differences import differences

TERMS = ([(3, 1.0)], [(4, 1.0), (5, 2.0)], [(6, 1.0)])


@pytest.fixture
def one():
    return embeddings(*TERMS)


def test_each_kind_that_both_have(one):
    other = replace(
        one,
        vectors=-one.vectors,
        token_ids=[one.token_ids[0], one.token_ids[1] + 1, one.token_ids[2] + 1],
        token_vectors=[-own for own in one.token_vectors],
    )
    same = differences(one, one)
    assert (same.asked, same.changed) == (3, 0)
    assert same.cosines == pytest.approx([1] * 9)
    assert differences(one, other).cosines == pytest.approx([-1, -1, -1, 1, 2 / 5, 0, -1, -1, -1])


def test_a_kind_that_one_lacks_is_not_compared(one):
    bare = replace(one, vectors=None)
    assert len(differences(bare, one).cosines) == 6
    assert differences(bare, one).asked == 0
    bare = replace(bare, token_ids=None, weights=None)
    assert differences(one, bare).cosines == pytest.approx([1, 1, 1])
    nothing = differences(one, replace(bare, token_vectors=None))
    assert (nothing.asked, list(nothing.cosines)) == (0, [])
