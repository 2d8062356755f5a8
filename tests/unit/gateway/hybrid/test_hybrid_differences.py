"""How two versions differ in what `embed_hybrid` gives: by the first of its outputs that is there."""

from dataclasses import replace

import numpy as np
import pytest
from unit.client.hybrid.test_scores import embeddings

from encserve_gateway.shadow.differences import differences

TERMS = ([(3, 1.0)], [(4, 1.0), (5, 2.0)], [(6, 1.0)])


@pytest.fixture
def one():
    return embeddings(*TERMS)


def test_vectors_of_texts_first(one):
    turned = replace(one, vectors=-one.vectors, token_ids=[ids + 1 for ids in one.token_ids])
    assert differences(one, one).cosines == pytest.approx([1, 1, 1])
    assert differences(one, turned).cosines == pytest.approx([-1, -1, -1])


def test_then_terms_then_vectors_of_tokens(one):
    bare = replace(one, vectors=None)
    other = replace(bare, token_ids=[ids + 1 for ids in one.token_ids])
    assert differences(bare, other).cosines == pytest.approx([0, 2 / 5, 0])
    bare, other = (replace(each, token_ids=None, weights=None) for each in (bare, other))
    turned = replace(other, token_vectors=[-own for own in one.token_vectors])
    assert differences(bare, turned).cosines == pytest.approx([-1, -1, -1])
    assert np.isfinite(differences(bare, other).cosines).all()
