"""Whether somebody still waits for a call, asked by one thread while another answers it."""

import threading
from types import SimpleNamespace

import pytest


@pytest.fixture
def kept(triton):
    """A call that is answered from another thread than that of `execute`, and its request."""
    from encserve_server.steps.request.call import Call

    request = triton.Request()
    call = Call(request, SimpleNamespace(report=lambda *_: None))
    call.keep()
    return call, request


def test_triton_is_not_asked_about_a_request_that_has_its_last_response(triton, kept):
    call, request = kept
    assert not call.is_given_up()
    call.answer(triton.InferenceResponse())
    assert call.is_given_up()
    assert [answer.is_last for answer in request.answers] == [True]


def test_the_last_response_waits_until_triton_has_said_who_has_gone(triton, kept, monkeypatch):
    call, request = kept
    asked, goes_on = threading.Event(), threading.Event()

    def is_cancelled():
        asked.set()
        return goes_on.wait(30) and bool(request.answers)

    monkeypatch.setattr(request, "is_cancelled", is_cancelled)
    answers = []
    looking = threading.Thread(target=lambda: answers.append(call.is_given_up()))
    looking.start()
    assert asked.wait(30)
    answering = threading.Thread(target=call.answer, args=[triton.InferenceResponse()])
    answering.start()
    answering.join(0.2)
    assert request.answers == []
    goes_on.set()
    looking.join(30)
    answering.join(30)
    assert (answers, len(request.answers)) == ([False], 1)
