import itertools

import pytest

from encserve import InferenceFailed, InvalidInput, ModelNotFound, Overloaded, RateLimited, Retry, Unavailable
from encserve._conversation.deadline import Deadline
from encserve._conversation.retry import FIRST_CONTACT_S, Contact, Schedule, retried


class Time:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now_s = 100.0
        self.slept = []

    def __call__(self):
        return self.now_s

    def sleep(self, delay_s):
        self.slept.append(delay_s)
        self.now_s += delay_s


def schedule(time, retry, timeout_s=30.0, *, known=True, version=""):
    """The server has answered before where it is `known`."""
    contact, deadline = Contact(made=known), Deadline(timeout_s, clock=time)
    return Schedule(retry, deadline, contact, version=version, uniform=lambda low, high: high)


def attempt(call, schedule, *, sleep):
    """Hold the conversation: what is yielded is a call with the seconds that are left, or a Sleep."""
    talk = retried(lambda left_s: lambda: call(left_s), schedule)
    effect = next(talk)
    try:
        while True:
            if hasattr(effect, "seconds"):
                effect = talk.send(sleep(effect.seconds))
                continue
            try:
                answer = effect()
            except Exception as error:
                effect = talk.throw(error)
            else:
                effect = talk.send(answer)
    except StopIteration as end:
        return end.value


def refuse(calls, successes_after=None, error=Unavailable):
    def call(left_s):
        calls.append(left_s)
        if successes_after is not None and len(calls) > successes_after:
            return "answer"
        raise error(f"refused {len(calls)}")

    return call


def test_backoff_doubles_up_to_the_maximum():
    time, calls = Time(), []
    with pytest.raises(Unavailable, match="refused 7") as caught:
        attempt(refuse(calls), schedule(time, Retry(attempts=7)), sleep=time.sleep)
    assert time.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0])
    assert calls == pytest.approx([30.0, 29.9, 29.7, 29.3, 28.5, 26.9, 24.9])  # each attempt gets what is left
    assert caught.value.timeout_s == 30.0


def test_jitter_is_full():
    spans = []
    deadline = Deadline(9, clock=Time())
    plan = Schedule(Retry(), deadline, Contact(), uniform=lambda low, high: spans.append((low, high)) or 0.0)
    plan.next_delay_s(Unavailable(""))
    plan.next_delay_s(Unavailable(""))
    assert spans == [(0.0, 0.1), (0.0, 0.2)]


def test_a_delay_that_does_not_fit_is_not_slept():
    time, calls = Time(), []
    with pytest.raises(Unavailable, match="refused 3"):
        attempt(refuse(calls), schedule(time, Retry(attempts=9), timeout_s=0.5), sleep=time.sleep)
    assert time.slept == pytest.approx([0.1, 0.2])


def test_success_after_failures():
    time, calls = Time(), []
    assert attempt(refuse(calls, successes_after=2), schedule(time, Retry()), sleep=time.sleep) == "answer"
    assert len(calls) == 3


def test_other_errors_are_not_repeated():
    time, calls = Time(), []
    with pytest.raises(InferenceFailed):
        attempt(refuse(calls, error=InferenceFailed), schedule(time, Retry()), sleep=time.sleep)
    assert len(calls) == 1
    assert time.slept == []


def test_a_server_without_room_is_asked_until_the_deadline():
    time, calls = Time(), []
    with pytest.raises(Overloaded):
        attempt(refuse(calls, error=Overloaded), schedule(time, Retry(attempts=3)), sleep=time.sleep)
    assert len(calls) > 15
    assert 28.0 < time.now_s - 100.0 <= 30.0


def test_a_server_that_is_down_is_asked_until_the_deadline():
    time, calls = Time(), []
    with pytest.raises(Unavailable):
        attempt(refuse(calls), schedule(time, Retry()), sleep=time.sleep)
    assert 28.0 < time.now_s - 100.0 <= 30.0
    assert len(calls) < 25  # with pauses that grow


def test_a_server_that_never_answered_is_given_up_soon():
    time, calls = Time(), []
    with pytest.raises(Unavailable):
        attempt(refuse(calls), schedule(time, Retry(), known=False), sleep=time.sleep)
    assert FIRST_CONTACT_S - 2.0 < time.now_s - 100.0 <= FIRST_CONTACT_S


@pytest.mark.parametrize("retry", [Retry(attempts=12), Retry()])
def test_a_server_that_refused_once_or_shall_have_so_many_attempts_is_not_given_up_soon(retry):
    time, calls = Time(), []
    first = [Overloaded] if retry.attempts is None else []
    kinds = itertools.chain(first, itertools.repeat(Unavailable))
    with pytest.raises(Unavailable):
        attempt(
            refuse(calls, error=lambda words: next(kinds)(words)), schedule(time, retry, known=False), sleep=time.sleep
        )
    assert time.now_s - 100.0 > 2 * FIRST_CONTACT_S


def test_an_answer_is_remembered():
    time, contact = Time(), Contact()
    plan = Schedule(Retry(), Deadline(30.0, clock=time), contact, uniform=lambda low, high: high)
    assert attempt(lambda left_s: "answer", plan, sleep=time.sleep) == "answer"
    assert contact.made


def test_a_version_that_one_replica_lacks_is_asked_of_others_at_short_intervals():
    time, calls = Time(), []
    call = refuse(calls, successes_after=10, error=ModelNotFound)
    assert attempt(call, schedule(time, Retry(), version="2"), sleep=time.sleep) == "answer"
    assert max(time.slept) <= 0.05
    with pytest.raises(ModelNotFound):
        attempt(refuse([], error=ModelNotFound), schedule(time, Retry(), version="2"), sleep=time.sleep)
    assert time.now_s - 100.0 < 5.0
    with pytest.raises(ModelNotFound, match="refused 1"):
        attempt(refuse([], error=ModelNotFound), schedule(time, Retry()), sleep=time.sleep)


def test_refusals_do_not_count_as_failures_of_a_server_that_is_down():
    time, calls = Time(), []
    kinds = iter([Overloaded] * 4 + [Unavailable] * 3)

    def call(left_s):
        calls.append(left_s)
        raise next(kinds)("no")

    with pytest.raises(Unavailable) as caught:
        attempt(call, schedule(time, Retry(attempts=3)), sleep=time.sleep)
    assert type(caught.value) is Unavailable
    assert len(calls) == 7


def test_one_attempt_turns_all_retries_off():
    time, calls = Time(), []
    with pytest.raises(Overloaded):
        attempt(refuse(calls, error=Overloaded), schedule(time, Retry(attempts=1)), sleep=time.sleep)
    assert len(calls) == 1


@pytest.mark.parametrize("arguments", [{"attempts": 0}, {"initial_s": -1.0}, {"initial_s": 3.0, "maximum_s": 2.0}])
def test_impossible_values(arguments):
    with pytest.raises(InvalidInput):
        Retry(**arguments)


def limited(retry_after_s):
    def make(message):
        error = RateLimited(message)
        error.retry_after_s = retry_after_s
        return error

    return make


def test_a_gateway_is_asked_again_when_it_said():
    time, calls = Time(), []
    call = refuse(calls, successes_after=2, error=limited(4.0))
    assert attempt(call, schedule(time, Retry()), sleep=time.sleep) == "answer"
    assert time.slept == pytest.approx([4.1, 4.2])  # and a little later, so that all who were refused do not collide


def test_a_gateway_that_names_a_time_after_the_deadline_is_not_asked_again():
    time, calls = Time(), []
    with pytest.raises(RateLimited, match="refused 1"):
        attempt(refuse(calls, error=limited(31.0)), schedule(time, Retry(), timeout_s=30.0), sleep=time.sleep)
    assert (time.slept, len(calls)) == ([], 1)
