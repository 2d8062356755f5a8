"""The shell of the tokenize step: who is answered at once, who waits, and who is refused."""

import json
import threading
import time

import numpy as np
import pytest
from tokenize_step import ARGS, SETTINGS, answer_of, full, ids_of, request_of


def test_who_waits_is_answered_although_the_step_is_unloaded(triton, step, encoder):
    """As where another version takes its place: Triton then waits for no request that `execute` has returned from."""
    full(encoder, step)
    waiting = [request_of(triton, "a"), request_of(triton, "b", parameters={"lane": "bulk"})]
    assert step.execute(waiting) == [None, None]
    unloading = threading.Thread(target=step.finalize)
    unloading.start()
    encoder.has(0)
    assert [ids_of(answer_of(request)) for request in waiting] == [[[1]], [[2]]]
    unloading.join(60)
    assert not unloading.is_alive()


def test_a_server_that_closes_waits_for_nobody_at_the_door(triton, step, encoder, folder):
    """There is no next step to which a request could go on. Who can still be answered was waited for before."""
    full(encoder, step)
    assert step.execute([request_of(triton, "a")]) == [None]
    (folder.parent / "closing").touch()
    step.finalize()


def test_requests_are_answered_at_once_where_there_is_room(triton, step):
    first, second = step.execute([request_of(triton, "a b", "b"), request_of(triton, "a")])
    assert ids_of(first) == [[1, 2, 2]]
    assert ids_of(second) == [[1]]


def test_a_request_is_as_large_as_its_texts_in_utf8(step, triton):
    call = type("Call", (), {"id": "", "timeout_s": 0.0, "arrived_s": 0.0, "trace": None})
    from encserve_server.steps.tokenize.step import Asked

    request = step._queued_request(Asked(call, [["abc", "\u00fc\u4e2d"], ["\U0001f600"]], {"lane": "bulk"}))
    assert (request.texts, request.size) == (3, 3 + 2 + 3 + 4)


def test_the_queue_counts_bytes(triton, step, encoder):
    full(encoder, step)
    step._queue._limits = type(step._queue._limits)(max_queued_texts=100, max_queued_bytes=12)
    waiting = [request_of(triton, "\u4e2d\u4e2d\u4e2d") for _ in range(2)]  # 9 bytes each
    assert step.execute(waiting[:1]) == [None]
    (refused,) = step.execute(waiting[1:])
    assert "holds 9 bytes of text and this request 9; max_queued_bytes is 12" in refused.error.message
    encoder.has(0)
    ids_of(answer_of(waiting[0]))


def test_who_waits_is_answered_in_turn(triton, step, encoder):
    full(encoder, step)
    request = request_of(triton, "a")
    assert step.execute([request]) == [None]
    encoder.has(0)
    assert ids_of(answer_of(request)) == [[1]]


def test_a_question_of_health_waits_for_nobody_and_no_other_is_one(triton, step, encoder):
    from encserve_server.steps.request.health import HealthQuestions

    full(encoder, step)
    step._health = HealthQuestions({"ENCSERVE_HEALTH_TOKEN": "secret"})
    (asked,) = step.execute([request_of(triton, "a", parameters={"health": "secret"})])
    assert ids_of(asked) == [[1]]
    pretended = request_of(triton, "a", parameters={"health": "guessed"})
    assert step.execute([pretended]) == [None], "it waits like others"
    encoder.has(0)
    assert ids_of(answer_of(pretended)) == [[1]]


def test_what_a_pipeline_puts_around_a_question_of_health_makes_it_no_long_one(triton, step, encoder, monkeypatch):
    from encserve_server.steps.request.health import HealthQuestions

    full(encoder, step)
    step._health, step._max_length = HealthQuestions({"ENCSERVE_HEALTH_TOKEN": "secret"}), 512
    monkeypatch.setitem(step._tokenization._layout._prompts, "query", "what is asked for: " * 20)
    asked = {"parameters": {"health": "secret", "prompt_name": "query"}}
    (answer,) = step.execute([request_of(triton, "a", **asked)])
    assert len(ids_of(answer)[0]) == 8
    two = request_of(triton, "a", "b", **asked)
    assert step.execute([two]) == [None], "about two texts: it waits like others"
    encoder.has(0)
    assert len(ids_of(answer_of(two))[0]) == 16


def test_the_head_is_told_when_a_request_came_also_of_one_that_waited(triton, step, encoder):
    full(encoder, step)
    waiting, before_ns = request_of(triton, "a"), time.monotonic_ns()
    assert step.execute([waiting]) == [None]
    after_ns = time.monotonic_ns()
    time.sleep(0.01)
    encoder.has(0)
    told = answer_of(waiting).tensors["arrived_ns"]
    assert (told.dtype, told.shape) == (np.int64, (1, 1))
    assert before_ns - 1_000 <= told[0, 0] <= after_ns + 1_000  # the clock is read in seconds


def test_a_pipeline_of_an_earlier_export_has_no_such_tensor(triton, step, folder):
    settings = json.loads((folder / "settings.json").read_text())
    del settings["arrival"]
    (folder / "settings.json").write_text(json.dumps(settings))
    earlier = type(step)()
    earlier.initialize(ARGS | {"model_repository": str(folder.parent)})
    (answer,) = earlier.execute([request_of(triton, "a")])
    earlier.finalize()
    assert set(answer.tensors) == set(settings["tensors"])


@pytest.mark.parametrize("value", ["many", "-1", "0", "1.5"])
def test_a_setting_of_the_operator_that_is_no_number_is_named(value, monkeypatch):
    from encserve_server.steps.tokenize.door.queue_limits import queue_limits

    monkeypatch.setenv("ENCSERVE_MAX_QUEUED_TEXTS", value)
    with pytest.raises(
        ValueError, match=f"ENCSERVE_MAX_QUEUED_TEXTS is '{value}', expected a number of rows, 1 or more"
    ):
        queue_limits(SETTINGS)
