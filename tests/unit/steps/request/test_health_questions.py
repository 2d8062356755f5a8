"""Which requests are questions of the server's own supervision."""

import pytest

from encserve_server.steps.request.health import BURST, MOST_TOKENS, PAUSE_S, TOKEN_VARIABLE, HealthQuestions


@pytest.fixture
def questions(clock):
    return HealthQuestions({TOKEN_VARIABLE: "secret"}, clock=clock)


def test_who_knows_the_token_is_let_in(questions):
    assert questions.is_one("secret", 3)


@pytest.mark.parametrize("token", [None, "", "other", 7, True, "s\u00e9cret"])
def test_nobody_else_is(questions, token):
    assert not questions.is_one(token, 3)


def test_without_a_token_nobody_is(clock):
    assert not HealthQuestions({}, clock=clock).is_one("", 3)


@pytest.mark.parametrize(("token", "shows"), [("secret", True), ("other", False), (None, False)])
def test_the_token_is_known_however_often_it_is_shown(questions, token, shows):
    assert [questions.shows_token(token) for _ in range(2 * BURST)] == [shows] * 2 * BURST


def test_whoever_has_the_token_jumps_no_queue_with_work(questions, clock):
    assert not questions.is_one("secret", MOST_TOKENS + 1)
    assert [questions.is_one("secret", MOST_TOKENS) for _ in range(BURST + 2)] == [True] * BURST + [False] * 2
    clock.now_s += 1.2 * PAUSE_S
    assert [questions.is_one("secret", 1) for _ in range(2)] == [True, False]
