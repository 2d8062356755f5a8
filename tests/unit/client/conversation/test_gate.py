"""The gate of a client, with a clock of its own: who may go, who waits, and who is told early that it is too late."""

import heapq

import pytest

from encserve import Overloaded
from encserve._conversation.deadline import Deadline
from encserve._conversation.gate import Gate


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


class Server:
    """Does `rate` units of work a second for each of the places of a gate."""

    def __init__(self, places, *, rate=1.0):
        self.clock = Clock()
        self.gate = Gate(places, clock=self.clock)
        self.rate = rate
        self.outcomes = {}
        self._ending = []

    def call(self, name, work, timeout_s):
        ticket = self.gate.enter(work, Deadline(timeout_s, clock=self.clock), lambda: self._decided(name))
        self.outcomes[name] = ticket
        if ticket.decided:
            self._decided(name)

    def _decided(self, name):
        ticket = self.outcomes[name]
        if ticket.granted:
            heapq.heappush(self._ending, (self.clock.now_s + ticket.work / self.rate, name))
        else:
            self.outcomes[name] = ("refused", self.clock.now_s, str(ticket.refusal))

    def run(self):
        while self._ending:
            self.clock.now_s, name = heapq.heappop(self._ending)
            ticket = self.outcomes[name]
            late = ticket.deadline.left_s() < 0
            self.outcomes[name] = ("late" if late else "done", self.clock.now_s, "")
            self.gate.leave(ticket, answered=True)
        return [kind for kind, _, _ in self.outcomes.values()]


def test_no_more_than_there_are_places_go_at_a_time_and_in_their_order():
    server = Server(2)
    for name in range(6):
        server.call(name, 1.0, 100.0)
    assert server.run() == ["done"] * 6
    assert [at_s for _, at_s, _ in server.outcomes.values()] == [1, 1, 2, 2, 3, 3]


def test_a_burst_that_fits_into_its_deadline_is_done():
    server = Server(4)
    for name in range(1000):
        server.call(name, 1.0, 1000 / 4 / 0.6)
    assert server.run() == ["done"] * 1000


@pytest.mark.parametrize("places", [4, 16])
def test_of_a_burst_that_does_not_fit_those_that_cannot_be_done_are_refused_early(places):
    server = Server(places)
    timeout_s = 1000 / places / 1.5
    for name in range(1000):
        server.call(name, 1.0, timeout_s)
    kinds = server.run()
    assert kinds.count("done") >= 0.9 * 1000 / 1.5
    assert kinds.count("late") <= places
    refused_s = [at_s for kind, at_s, _ in server.outcomes.values() if kind == "refused"]
    assert kinds.count("refused") >= 0.30 * 1000
    assert sorted(refused_s)[len(refused_s) // 2] < 0.36 * timeout_s  # half of them as soon as anybody is refused


def test_where_few_have_an_answer_nobody_is_refused_before_half_of_the_time():
    server = Server(8)
    works = [38.0, 40.0, 45.0, *(51.0 + number for number in range(5))]  # after two answers the first is looked at
    for name, work in enumerate([*works, *[50.0] * 92]):
        server.call(name, work, 100.0)
    server.run()
    refused_s = [at_s for kind, at_s, _ in server.outcomes.values() if kind == "refused"]
    assert 50.0 < min(refused_s) <= 52.0


def test_a_refusal_says_how_much_is_before_it():
    server = Server(1)
    for name in range(50):
        server.call(name, 1.0, 10.0)
    server.run()
    words = next(said for kind, _, said in server.outcomes.values() if kind == "refused")
    assert "requests of this client wait before this one" in words
    assert "(timeout 10 s)" in words


def test_who_comes_when_it_is_hopeless_is_refused_at_once():
    server = Server(1)
    for name in range(100):
        server.call(name, 1.0, 1000.0)
    for _ in range(10):  # of whose answers the rate is known
        server.clock.now_s, name = heapq.heappop(server._ending)
        server.gate.leave(server.outcomes[name], answered=True)
    ticket = server.gate.enter(1.0, Deadline(5.0, clock=server.clock), lambda: None)
    assert isinstance(ticket.refusal, Overloaded)


@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_a_slow_beginning_refuses_nobody(rate):
    """A third of the time passes slowly, as where a server is cold and a thousand threads start: the rest is enough."""
    timeout_s = 1000 / 4 / 0.6
    server = Server(4, rate=rate)
    for name in range(1000):
        server.call(name, 1.0, timeout_s)
    granted = server._decided

    def hasten(name):
        server.rate = rate if server.clock.now_s < 0.3 * timeout_s else 1.0
        granted(name)

    server._decided = hasten
    assert server.run() == ["done"] * 1000


def test_a_slow_moment_refuses_nobody():
    """As a thousand threads start, or another program has the processor."""
    server = Server(4)
    for name in range(1000):
        server.call(name, 1.0, 1000 / 4 / 0.6)
    slow = {100: 0.2, 125: 1.0}
    leave = server.gate.leave

    def counted(ticket, *, answered):
        server.rate = slow.get(sum(isinstance(each, tuple) for each in server.outcomes.values()), server.rate)
        leave(ticket, answered=answered)

    server.gate.leave = counted
    assert server.run() == ["done"] * 1000


def test_who_goes_away_gives_the_place_or_the_turn_back():
    clock = Clock()
    gate = Gate(1, clock=clock)
    woken = []
    first, second, third = (
        gate.enter(1.0, Deadline(9.0, clock=clock), lambda name=name: woken.append(name)) for name in range(3)
    )
    gate.leave(second, answered=False)
    gate.leave(first, answered=False)
    assert woken == [2]
    assert third.granted
    assert not second.granted


def test_a_turn_that_comes_too_late_is_nobodys():
    clock = Clock()
    gate = Gate(1, clock=clock)
    woken = []
    first, late, other = (
        gate.enter(1.0, Deadline(timeout_s, clock=clock), lambda name=name: woken.append(name))
        for name, timeout_s in (("first", 9.0), ("late", 1.0), ("other", 9.0))
    )
    clock.now_s = 2.0
    gate.leave(first, answered=True)
    assert woken == ["late", "other"]
    assert "waited all its time" in str(late.refusal)
    assert other.granted
    gate.leave(late, answered=False)  # as whoever waited does in any case
    gate.leave(other, answered=True)
    assert gate.enter(1.0, Deadline(9.0, clock=clock), lambda: None).granted
