import pytest

from encserve import InferenceFailed, InvalidInput, RateLimited, Retry, Unavailable
from encserve._retry import Schedule, attempt, attempt_async


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

    async def sleep_async(self, delay_s):
        self.sleep(delay_s)


def schedule(time, retry, timeout_s=30.0):
    return Schedule(retry, timeout_s=timeout_s, clock=time, uniform=lambda low, high: high)


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
    plan = Schedule(Retry(), timeout_s=9, clock=Time(), uniform=lambda low, high: spans.append((low, high)) or 0.0)
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


async def test_async_is_the_same():
    time, calls = Time(), []
    call = refuse(calls, successes_after=3)

    async def call_async(left_s):
        return call(left_s)

    assert await attempt_async(call_async, schedule(time, Retry()), sleep=time.sleep_async) == "answer"
    assert time.slept == pytest.approx([0.1, 0.2, 0.4])


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
