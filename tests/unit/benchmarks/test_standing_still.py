"""How processes that stood still go on."""

import pytest
from benchmarks import processes

CHILDREN = {1: [2, 3, 4], 2: [3, 4], 3: [], 4: []}
"""A worker, its Triton, and two steps of that."""


@pytest.fixture
def events(monkeypatch):
    """Who goes on, and when somebody is waited for."""
    events = []
    monkeypatch.setattr(processes, "descendants", CHILDREN.get)
    monkeypatch.setattr(processes, "_signal", lambda pid, number: events.append(pid))
    monkeypatch.setattr(processes.time, "sleep", lambda seconds: events.append("waits"))
    return events


def test_steps_go_on_well_before_the_server_that_looks_whether_they_live(events):
    processes.resume(1)
    assert events == [3, 4, "waits", 4, 3, 2, 1]


def test_nobody_is_waited_for_where_there_is_one_process(events):
    processes.resume(4)
    assert events == [4, 4]
