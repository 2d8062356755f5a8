"""The page of a watch: the verdict, what was compared, and how it went."""

import re

import pytest

from encserve_lifecycle.watch.page import watch_page

from .simulated import BAD, GOOD, SimulatedServer


def page_of(candidate, **options):
    server = SimulatedServer(candidate=candidate, **options)
    watched = server.watched(excused={"vectors": "they are of other checkpoints"})
    outcome = watched.run(duration_s=120.0, share=0.2)
    return watch_page(watched.watch, outcome), outcome


def test_a_version_that_was_rolled_back():
    page, outcome = page_of(BAD["shifted labels"], rate=100.0)
    assert "m: version 2 in the place of 1" in page
    assert "rolled back" in page
    assert outcome.because in page
    assert '<td class="bad">worse</td>' in page
    assert "texts labelled b" in page
    assert "they are of other checkpoints" in page
    assert "It was a candidate, and never answered all callers." in page


def test_a_version_that_was_kept_with_too_little_traffic_says_how_much_it_takes():
    page, _ = page_of(GOOD, rate=5.0)
    assert "kept, not enough traffic" in page
    assert "It was a candidate for 0.4 of them, and then answered all callers." in page
    assert re.search(r"[\d,]+ requests, if it is as before|more of the version before, too", page)
    assert "answers all" in page  # the line at which it began


@pytest.mark.parametrize("rate", [0.0, 0.05])
def test_a_watch_that_saw_nothing_has_a_page(rate):
    page, _ = page_of(GOOD, rate=rate)
    assert "not enough traffic" in page
    assert "nan" not in page.lower().replace("nan or infinity", "")
