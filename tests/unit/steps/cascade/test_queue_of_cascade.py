"""What waits in the cascade step: who comes first, how much may wait, and what is told of it."""

from types import SimpleNamespace

import numpy as np
from two_pipelines import TOKEN, answer_of, asked, counts, wait_until


def test_bulk_keeps_no_interactive_request_waiting_nor_a_question_of_health(triton, make, pipelines):
    from encserve_server.steps.cascade.step import THREADS

    pipelines.goes_on.clear()
    step = make(queue={"max_queued_texts": 1_000, "max_queued_bytes": 10_000})
    bulk = [asked(triton, step, "0.9 0.1", parameters={"lane": "bulk"}) for _ in range(2 * THREADS["bulk"])]
    one = asked(triton, step, "0.8 0.1")
    health = asked(triton, step, "0.7 0.1", parameters={"health": TOKEN})
    wait_until(lambda: len(pipelines.asked) == THREADS["bulk"] + 2)
    assert {each.inputs["text"][0, 0] for each in pipelines.asked} == {b"0.9 0.1", b"0.8 0.1", b"0.7 0.1"}
    pipelines.goes_on.set()
    assert not any(answer_of(each).has_error() for each in (one, health, *bulk))


def test_too_much_is_refused(triton, make, pipelines):
    from encserve_server.steps.cascade.step import THREADS

    pipelines.goes_on.clear()
    step = make()
    first = []
    for number in range(THREADS["interactive"]):
        first.append(asked(triton, step, "0.9 0.1"))
        wait_until(lambda taken=number + 1: len(pipelines.asked) == taken)
    waiting = [asked(triton, step, *["0.9 0.1"] * 4) for _ in range(2)]
    answer = answer_of(asked(triton, step, "0.9 0.1"))
    assert answer.error.code == "later"
    assert "max_queued_texts is 8" in answer.error.message
    pipelines.goes_on.set()
    assert not any(answer_of(each).has_error() for each in (*first, *waiting))


def test_too_much_for_a_timeout_is_refused(triton, make, pipelines):
    from encserve_server.steps.cascade.step import THREADS

    step = make(queue={"max_queued_texts": 100, "max_queued_bytes": 1_000})
    pipelines.goes_on.clear()
    step._waiting.served(SimpleNamespace(lane="interactive", tokens=1), 1e6)  # on a machine as slow as that
    taken = [asked(triton, step, "0.9 0.1") for _ in range(THREADS["interactive"])]
    wait_until(lambda: len(pipelines.asked) == THREADS["interactive"])
    waiting = asked(triton, step, "0.9 0.1", timeout_us=60_000_000)
    answer = answer_of(asked(triton, step, "0.9 0.1", timeout_us=60_000_000))
    assert answer.error.code == "later"
    assert "of its timeout of 60 s it may wait 30 s" in answer.error.message
    assert counts(step._counts.door.refused) == {(("lane", "interactive"), ("limit", "timeout")): 1}
    assert step._waiting.load("interactive").tokens == 3
    pipelines.goes_on.set()
    assert not any(answer_of(each).has_error() for each in (*taken, waiting))


def test_what_waits_is_counted_as_at_the_door_of_a_pipeline(triton, make, monkeypatch):
    """A text that all pairs share counts in each, no row has more tokens than the network sees, and bytes are those of
    the texts."""
    step, put = make(inputs=["text", "text_pair"]), []
    monkeypatch.setattr(step._waiting, "put", put.append)
    pairs = ["a" * 8, "a", "a" * 90]
    tensors = {
        name: np.array([[text.encode() for text in texts]], np.object_)
        for name, texts in (("text", ["\u044f" * 8]), ("text_pair", pairs))
    }
    step.execute([triton.Request("{}", **tensors)])
    (waits,) = put
    assert (waits.texts, waits.tokens, waits.size) == (3, 8 + 6 + 8, 16 + 8 + 1 + 90)


def test_how_fast_answers_come_is_learned(triton, make, monkeypatch):
    step = make()
    learned = []
    monkeypatch.setattr(step._waiting, "served", lambda request, seconds: learned.append((request.tokens, seconds)))
    answer_of(asked(triton, step, "0.9 0.1", "0.3 0.8"))
    ((tokens, seconds),) = learned
    assert tokens == 6
    assert seconds > 0


def test_an_operator_says_how_many_texts_may_wait(triton, make, pipelines, monkeypatch):
    from encserve_server.steps.cascade.step import THREADS

    monkeypatch.setenv("ENCSERVE_MAX_QUEUED_TEXTS", "2")
    pipelines.goes_on.clear()
    step = make()
    for number in range(THREADS["bulk"]):
        asked(triton, step, "0.9 0.1", parameters={"lane": "bulk"})
        wait_until(lambda taken=number + 1: len(pipelines.asked) == taken)
    asked(triton, step, "0.9 0.1", parameters={"lane": "bulk"})
    answer = answer_of(asked(triton, step, "0.9 0.1", "0.9 0.1", parameters={"lane": "bulk"}))
    assert "max_queued_texts is 2: try again later" in answer.error.message


def test_what_waits_is_told(triton, make, pipelines, monkeypatch):
    from encserve_server.steps.cascade.step import THREADS

    told = {}

    def metric(family, labels):
        told[family.name, labels.get("lane")] = made = one_metric(family, labels)
        return made

    one_metric = triton.MetricFamily.Metric
    monkeypatch.setattr(triton.MetricFamily, "__init__", lambda self, **about: setattr(self, "name", about["name"]))
    monkeypatch.setattr(triton.MetricFamily, "Metric", metric)
    pipelines.goes_on.clear()
    step = make(queue={"max_queued_texts": 100, "max_queued_bytes": 1_000})
    for _ in range(THREADS["bulk"] + 2):
        asked(triton, step, "0.9 0.1", parameters={"lane": "bulk"})
    wait_until(lambda: told["encserve_waiting_tokens", "bulk"].value() == 2 * 3)  # of two texts; the others are asked
    assert told["encserve_waiting_tokens", "interactive"].value() == 0
