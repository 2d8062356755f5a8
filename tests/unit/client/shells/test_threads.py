"""The threads of a blocking client: no more than it may have requests in flight, however many calls wait."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from unit.client.both_clients import assert_ended, lengths, threads_of_clients

from encserve import Client, InvalidInput, Overloaded, TransportError
from encserve._conversation import information
from encserve.testing import FakeTransport, fake_pipeline


def texts(count):
    return ["a" * size for size in range(count)]


@pytest.mark.parametrize(("callers", "concurrency"), [(30, 3), (200, 16)])
def test_many_calls_of_many_requests_share_as_many_threads_as_there_are_places(model, callers, concurrency):
    before, most = threads_of_clients(), 0

    def answer(request):
        nonlocal most
        most = max(most, len(threads_of_clients() - before))
        return model(request)

    with (
        Client(transport=FakeTransport(answer), concurrency=concurrency, texts_per_request=1, timeout_s=600) as client,
        ThreadPoolExecutor(callers) as pool,
    ):
        calls = [pool.submit(client.embed, texts(16), model="fake") for _ in range(callers)]
        for call in calls:
            assert lengths(call.result()) == list(range(16))
    assert 1 <= most <= concurrency


class Held:
    """A server that answers nothing until it is released."""

    def __init__(self, model):
        self.model = model
        self.began = threading.Event()
        self.released = threading.Event()

    def __call__(self, request):
        self.began.set()
        assert self.released.wait(60)
        return self.model(request)


def test_a_call_that_waits_for_its_turn_has_its_own_deadline(model):
    server = Held(model)
    client = Client(transport=FakeTransport(server), concurrency=2, texts_per_request=1, timeout_s=600)
    with client, ThreadPoolExecutor(1) as pool:
        patient = pool.submit(client.embed, texts(4), model="fake")
        assert server.began.wait(60)
        gate = next(iter(client._conversation._gates.values()))
        while len(gate._inside) < 2:
            time.sleep(0.001)
        with pytest.raises(Overloaded, match="waited all its time for one of the 2 places"):
            client.embed(texts(2), model="fake", timeout_s=0.1)
        assert not patient.done()
        server.released.set()
        assert lengths(patient.result()) == list(range(4))


def test_what_waits_for_its_turn_ends_with_the_client(model):
    server = Held(model)
    client = Client(transport=FakeTransport(server), concurrency=1, texts_per_request=1, timeout_s=600)
    with ThreadPoolExecutor(2) as pool:
        under_way = pool.submit(client.embed, texts(2), model="fake")
        assert server.began.wait(60)
        waiting = pool.submit(client.embed, texts(3), model="fake")
        gate = next(iter(client._conversation._gates.values()))
        while not gate._waiting:
            time.sleep(0.001)
        client.close()
        server.released.set()
        for call in (under_way, waiting):
            with pytest.raises(TransportError, match="closed"):
                call.result(60)
    assert not gate._inside
    assert not gate._waiting


def test_requests_that_are_all_sent_again_in_pieces_find_threads(model, monkeypatch):
    """Each gives its place back and waits for another, while others have taken it."""
    monkeypatch.setattr(information, "FRESH_S", 0.0)
    served = fake_pipeline(version="2", max_texts_per_request=1)

    def answer(request):
        if len(request.inputs["text"]) > 1:
            transport._served["fake"] = served
            raise InvalidInput("a request may have 1 text", model="fake", status="INVALID_ARGUMENT")
        return model(request)

    transport = FakeTransport(answer)
    with Client(transport=transport, concurrency=2, texts_per_request=4) as client, ThreadPoolExecutor(8) as pool:
        for call in [pool.submit(client.embed, texts(40), model="fake") for _ in range(8)]:
            assert lengths(call.result()) == list(range(40))


def test_a_process_that_can_start_no_thread_is_told_so(model, monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    with Client(transport=FakeTransport(model), texts_per_request=1) as client:
        client.embed(["what the pipeline is"], model="fake")
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            with pytest.raises(TransportError, match="no thread: can't start new thread"):
                client.embed(texts(3), model="fake")
        assert lengths(client.embed(texts(3), model="fake")) == [0, 1, 2]


def test_threads_end_with_their_client(model):
    before = threads_of_clients()
    with Client(transport=FakeTransport(model), texts_per_request=1) as client:
        client.embed(texts(3), model="fake")
        own = threads_of_clients() - before
        assert own
    assert_ended(own)
