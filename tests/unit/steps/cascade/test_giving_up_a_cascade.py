"""Time that is up, callers who have gone and calls that are given up, in the cascade step."""

import time

from two_pipelines import answer_of, asked, counts, wait_until


def test_the_time_that_is_left_is_passed_on(triton, make, pipelines):
    answer_of(asked(triton, make(), "0.3 0.8", timeout_us=50_000_000))
    first, second = (each.timeout for each in pipelines.asked)
    assert 0 < second < first < 50_000_000


def test_a_caller_without_a_timeout_waits_for_ever(triton, make, pipelines):
    answer_of(asked(triton, make(), "0.3 0.8"))
    assert [each.timeout for each in pipelines.asked] == [0, 0]


def test_a_request_whose_time_is_up_is_not_asked_further(triton, make, pipelines):
    pipelines.goes_on.clear()
    step = make()
    request = asked(triton, step, "0.3 0.8", timeout_us=1_000)
    time.sleep(0.01)
    pipelines.goes_on.set()
    answer = answer_of(request)
    assert answer.error.code == "later"
    assert "timeout of 0.001 s was used up" in answer.error.message
    assert "large" not in [each.model_name for each in pipelines.asked]


def test_a_caller_who_has_gone_is_not_asked_for(triton, make, pipelines):
    answer = answer_of(asked(triton, make(), "0.3 0.8", cancelled=True))
    assert answer.error.code == "cancelled"
    assert not pipelines.asked


def test_giving_up_is_passed_on_to_both(triton, make, pipelines):
    step = make()
    answer = answer_of(asked(triton, step, "", parameters={"cancel": "x"}))
    assert answer.error.code == "cancelled"
    assert counts(step._counts.door.messages) == {(): 1}
    wait_until(lambda: len(pipelines.asked) == 2)
    assert [(each.model_name, each.parameters) for each in pipelines.asked] == [
        ("small", {"cancel": "x"}),
        ("large", {"cancel": "x"}),
    ]


def test_the_large_pipeline_is_not_asked_for_one_who_gives_up_while_the_small_one_computes(triton, make, pipelines):
    pipelines.goes_on.clear()
    step = make()
    given_up, same_id, other = (asked(triton, step, "0.3 0.8", request_id=each) for each in ("x", "x", "y"))
    wait_until(lambda: len(pipelines.asked) == 3)
    answer_of(asked(triton, step, "", parameters={"cancel": "x"}))
    pipelines.goes_on.set()
    for request in (given_up, same_id):
        assert answer_of(request).error.code == "cancelled"
    assert not answer_of(other).has_error()
    wait_until(lambda: sum("cancel" in each.parameters for each in pipelines.asked) == 2)
    questions = [each for each in pipelines.asked if "cancel" not in each.parameters]
    assert [each.request_id for each in questions if each.model_name == "large"] == ["y"]
    assert counts(step._counts.door.cancelled) == {(("lane", "interactive"),): 2}


def test_an_id_may_be_used_again_after_it_was_given_up(triton, make, pipelines):
    step = make()
    answer_of(asked(triton, step, "0.3 0.8", request_id="x"))
    answer_of(asked(triton, step, "", parameters={"cancel": "x"}))
    assert not answer_of(asked(triton, step, "0.3 0.8", request_id="x")).has_error()
    wait_until(lambda: not step._under_way._calls)
