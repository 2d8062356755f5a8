"""A cascade of two classifiers that were trained for it holds what it states on texts that it was not fitted on."""

import pytest
from benchmarks.lifecycle import trained_cascade as pair
from scipy.stats import binom

from encserve_repository.versions import manifest_of

TEXTS = 1_500
CHANCE = 0.001
"""With which a share that is as stated is called larger."""


@pytest.mark.slow
def test_what_is_stated_holds_on_held_out_texts(tmp_path):
    repository = tmp_path / "models"
    fitted_on, held_out = pair.make_pair(tmp_path, repository, TEXTS)
    assert not {*fitted_on.texts} & {*held_out.texts}
    pair.fit(tmp_path, repository, fitted_on)
    fitted = manifest_of(repository, "both", 1).cascade["fitted"]
    assert 0 < fitted["escalated"] < 1
    with pair.serving(repository) as server, pair.client_of(server) as client:
        found = pair.judged(client, held_out)
    print(fitted, found)
    for share, most in ((1 - found["agreement"], 1 - pair.AGREEMENT), (found["wrong_and_unmarked"], pair.MOST_WRONG)):
        assert round(share * TEXTS) <= binom.isf(CHANCE, TEXTS, most)
    assert abs(found["escalated"] - fitted["escalated"]) < 0.1
    assert found["small_right"] < found["both_right"]
