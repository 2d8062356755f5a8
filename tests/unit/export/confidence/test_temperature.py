"""The temperature of softmax scores: what it is fitted to, and what is said of it."""

import numpy as np
import pytest

from encserve_export.confidence.temperature import fit, log_softmax, measured
from encserve_lifecycle.calibration_error import calibration_error, error_by_chance


def drawn(texts, *, sharper, seed=0):
    """Logits that are `sharper` times those by whose probabilities the labels were drawn."""
    draws = np.random.default_rng(seed)
    logits = draws.normal(size=(texts, 3)) * 1.5
    right = np.array([draws.choice(3, p=own) for own in np.exp(log_softmax(logits))])
    return logits * sharper, right


@pytest.mark.parametrize("sharper", [0.5, 1.0, 3.0])
def test_the_temperature_is_that_by_which_logits_were_made_sharper(sharper):
    assert fit(*drawn(20_000, sharper=sharper)) == pytest.approx(sharper, rel=0.05)


def test_where_all_labels_are_right_scores_do_not_become_certain():
    right = np.arange(150) % 3
    temperature = fit(np.eye(3)[right], right)
    sure = np.exp(log_softmax(np.eye(3) / temperature))[0, 0]
    assert 0.97 < sure < 0.999


def test_logits_without_end_give_numbers():
    logits, right = drawn(500, sharper=1e4)
    assert 0 < fit(logits, right) < np.inf
    assert np.isfinite(measured(logits, right, 0.05)["log_loss"])


def test_what_is_said_of_scores_that_are_too_sure_and_of_probabilities():
    fitted, held_out = drawn(4_000, sharper=3.0), drawn(2_000, sharper=3.0, seed=1)
    temperature = fit(*fitted)
    before, after = measured(*held_out, 1.0), measured(*held_out, temperature)
    assert before["calibration_error"]["measured"] > 0.1 > before["calibration_error"]["by_chance"]
    assert after["calibration_error"]["measured"] < after["calibration_error"]["by_chance"] < 0.04
    assert after["log_loss"] < before["log_loss"]
    assert len(after["bins"]) == 10
    assert all(each["low"] <= each["right"] <= each["high"] for each in after["bins"])
    assert sum(each["low"] <= each["score"] <= each["high"] for each in after["bins"]) >= 8
    assert sum(each["low"] <= each["score"] <= each["high"] for each in before["bins"]) <= 4


@pytest.mark.parametrize("texts", [50, 500])
def test_scores_that_are_right_as_often_as_they_say_err_by_no_more_than_chance_in_19_of_20(texts):
    draws = np.random.default_rng(1)
    scores = draws.uniform(0.4, 1.0, size=texts)
    chance = error_by_chance(scores)
    errors = [calibration_error(scores, draws.random(texts) < scores) for _ in range(400)]
    assert np.mean(np.array(errors) <= chance) == pytest.approx(0.95, abs=0.035)
    too_sure = [calibration_error(scores, draws.random(texts) < scores - 0.4) for _ in range(20)]
    assert np.mean(np.array(too_sure) > chance) > 0.9
