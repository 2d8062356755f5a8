"""Which token comes next."""

import numpy as np
import pytest

from encserve_server.steps.generate.texts.choice import Choice, choices_of
from encserve_server.steps.request.options import InvalidArgument

LOGITS = np.log(np.array([0.05, 0.4, 0.25, 0.2, 0.1], np.float32))
OPTIONS = {
    "do_sample": False,
    "min_new_tokens": 0,
    "max_new_tokens": 5,
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "seed": None,
    "stream": False,
    "stop": None,
    "num_beams": 1,
    "length_penalty": 1.0,
    "early_stopping": "false",
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
}


def test_the_likeliest_is_taken():
    assert Choice(ends=(0,)).token(LOGITS, [0] * 3, 9) == 1


def test_no_token_ends_a_text_that_is_too_short():
    choice = Choice(ends=(1, 2), min_new_tokens=2)
    assert [choice.token(LOGITS, [0] * before, 9) for before in range(4)] == [3, 3, 1, 1]


def test_a_vocabulary_is_not_copied_where_the_likeliest_may_come(monkeypatch):
    def copied(*_):
        raise AssertionError

    monkeypatch.setattr(Choice, "applied", copied)
    choice = Choice(ends=(2,), never=(0,), min_new_tokens=5, no_repeat_ngram_size=2)
    assert choice.token(LOGITS, [3], 9) == 1
    with pytest.raises(AssertionError):
        Choice(ends=(1,), min_new_tokens=5).token(LOGITS, [3], 9)


@pytest.mark.parametrize(
    "changes",
    [{"first": 4}, {"last": (0, 4)}, {"never": (1,)}, {"no_repeat_ngram_size": 1}, {"repetition_penalty": 3.0}],
)
def test_the_likeliest_by_all_rules_is_taken(changes):
    made, most = ([], 9) if "first" in changes else ([1], 2)
    choice = Choice(ends=(), **changes)
    assert choice.token(LOGITS, made, most) == int(choice.applied(LOGITS, made, most).argmax())
    assert choice.token(LOGITS, made, most) != 1


@pytest.mark.parametrize(
    ("changes", "tokens", "probabilities"),
    [
        ({}, [1, 2, 3, 4, 0], [0.4, 0.25, 0.2, 0.1, 0.05]),
        ({"top_k": 2}, [1, 2], [0.4 / 0.65, 0.25 / 0.65]),
        ({"top_p": 0.6}, [1, 2], [0.4 / 0.65, 0.25 / 0.65]),
        ({"top_p": 0.01}, [1], [1.0]),
        ({"top_k": 3, "top_p": 0.5}, [1, 2], [0.4 / 0.65, 0.25 / 0.65]),
        ({"temperature": 0.5, "top_k": 2}, [1, 2], [0.16 / 0.2225, 0.0625 / 0.2225]),
        ({"temperature": 5e-324}, [1], [1.0]),
    ],
)
def test_candidates(changes, tokens, probabilities):
    found, shares = Choice(ends=(), drawn=True, **changes).candidates(LOGITS + 3)
    assert found.tolist() == tokens
    assert shares == pytest.approx(probabilities, rel=1e-6)


def in_order(logits, *, temperature=1.0, top_k=0, top_p=1.0):
    """What `candidates` is to say, by putting the whole vocabulary in order."""
    warm = (logits.astype(np.float64) - float(logits.max())) / temperature
    tokens = np.argsort(-warm, kind="stable")[: top_k or None]
    tokens = tokens[np.isfinite(warm[tokens])]
    weights = np.exp(warm[tokens])
    probabilities = weights / weights.sum()
    kept = max(1, int((probabilities.cumsum() - probabilities < top_p).sum())) if top_p < 1 else len(tokens)
    return tokens[:kept], probabilities[:kept] / probabilities[:kept].sum()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"top_k": 1},
        {"top_k": 50},
        {"top_p": 0.3},
        {"top_p": 0.9},
        {"top_p": 0.999},
        {"top_k": 200, "top_p": 0.8},
        {"temperature": 20.0},
        {"temperature": 20.0, "top_p": 0.95},
        {"temperature": 0.01, "top_p": 0.5},
    ],
    ids=str,
)
def test_not_all_are_put_in_order_and_the_same_are_drawn(settings):
    random = np.random.default_rng(7)
    for scale in (0.5, 4.0):
        logits = np.round(random.normal(size=5_000) * scale, 1).astype(np.float32)  # many are equal
        logits[random.integers(0, 5_000, 50)] = -np.inf
        tokens, probabilities = in_order(logits, **settings)
        found, shares = Choice(ends=(), drawn=True, **settings).candidates(logits)
        assert found.tolist() == tokens.tolist()
        np.testing.assert_allclose(shares, probabilities, rtol=1e-9)
        for seed in range(100):
            choice = Choice(ends=(), drawn=True, seed=seed, **settings)
            drawn = np.random.Generator(np.random.Philox(key=[seed, 0], counter=[5, 0, 0, 0])).random()
            assert (
                choice.token(logits, [0] * 5, 9) == tokens[np.searchsorted(probabilities.cumsum(), drawn, side="right")]
            )


def test_what_may_not_come_is_never_drawn():
    choice = Choice(ends=(1,), drawn=True, min_new_tokens=1)
    assert 1 not in {
        Choice(ends=(1,), drawn=True, min_new_tokens=1, seed=seed).token(LOGITS, [], 9) for seed in range(99)
    }
    assert choice.token(LOGITS, [], 9) != 1


def test_tokens_are_drawn_by_their_probabilities():
    drawn = [Choice(ends=(), drawn=True, seed=3).token(LOGITS, range(before), 9) for before in range(4_000)]
    assert np.bincount(drawn, minlength=5) / 4_000 == pytest.approx(np.exp(LOGITS), abs=0.03)


def test_a_seed_gives_each_text_of_a_request_a_sequence_of_its_own():
    def drawn(**changes):
        (*choices,) = choices_of({}, OPTIONS | {"do_sample": True, **changes}, 2, rules={"ends": (0,)}, chance=9)
        return [[choice.token(LOGITS, [0] * before, 99) for before in range(20)] for choice in choices]

    first, second = drawn(seed=5)
    assert first != second
    assert drawn(seed=5) == [first, second] != drawn(seed=6)
    assert drawn() == drawn(seed=9)


@pytest.mark.parametrize("name", ["temperature", "top_k", "top_p", "seed"])
def test_options_that_mean_nothing_are_refused(name):
    with pytest.raises(InvalidArgument, match=f"option {name} is given; it means nothing where do_sample is false"):
        choices_of({name: 1}, OPTIONS | {name: 1}, 1, rules={"ends": (0,)}, chance=0)


def test_more_least_tokens_than_there_may_be_are_refused():
    given = {"min_new_tokens": 6}
    with pytest.raises(InvalidArgument, match="min_new_tokens is 6; max_new_tokens is 5"):
        choices_of(given, OPTIONS | given, 1, rules={"ends": (0,)}, chance=0)


def test_what_a_checkpoint_wants_at_least_refuses_no_shorter_text():
    options = OPTIONS | {"min_new_tokens": 55, "max_new_tokens": 40}
    (choice,) = choices_of({"max_new_tokens": 40}, options, 1, rules={"ends": (0,)}, chance=0)
    assert choice.min_new_tokens == 40
    with pytest.raises(InvalidArgument, match="min_new_tokens is 55; max_new_tokens is 40"):
        choices_of({"min_new_tokens": 55, "max_new_tokens": 40}, options, 1, rules={"ends": (0,)}, chance=0)


@pytest.mark.parametrize("name", ["length_penalty", "early_stopping"])
def test_options_of_beams_are_refused_without_them(name):
    with pytest.raises(InvalidArgument, match=f"option {name} is given; it means nothing where num_beams is 1"):
        choices_of({name: 1}, OPTIONS, 1, rules={"ends": (0,)}, chance=0)


@pytest.mark.parametrize("given", [{"do_sample": True}, {"stream": True}, {"stop": ["a secret"]}])
def test_what_does_not_go_with_beams_is_refused(given):
    (name,) = given
    with pytest.raises(InvalidArgument, match=f"option {name} is given; num_beams is 4, and") as refused:
        choices_of(given, OPTIONS | {"num_beams": 4} | given, 1, rules={"ends": (0,)}, chance=0)
    assert "secret" not in str(refused.value)


def test_what_does_not_go_with_beams_is_not_called_given_where_it_is_the_default():
    options = OPTIONS | {"num_beams": 4, "do_sample": True}
    complaint = "do_sample is on by default; num_beams is 4, and .*: give num_beams 1, or do_sample false"
    with pytest.raises(InvalidArgument, match=complaint):
        choices_of({"num_beams": 4}, options, 1, rules={"ends": (0,)}, chance=0)


@pytest.mark.parametrize(("chosen", "known"), [("false", False), ("true", True), ("never", "never")])
def test_early_stopping_is_said_as_to_transformers(chosen, known):
    options = OPTIONS | {"num_beams": 2, "early_stopping": chosen}
    (choice,) = choices_of({"early_stopping": chosen}, options, 1, rules={"ends": (0,), "first": 3}, chance=0)
    assert (choice.early_stopping, choice.beams, choice.first) == (known, 2, 3)
