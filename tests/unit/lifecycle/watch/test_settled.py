"""Counts that belong together, out of pages that are read while steps tell them."""

import pytest

from encserve_lifecycle.watch.settled import FAILURES, SettledSeries


def page(*, quick, all_, failed=0, refused=0):
    def counter(name, model, **labels):
        return name, frozenset({("model", model), ("version", "1"), *labels.items()})

    return {
        counter("encserve_request_duration_seconds_bucket", "m_head", le="0.1"): quick,
        counter("encserve_request_duration_seconds_bucket", "m_head", le="+Inf"): all_,
        counter("encserve_refused_requests", "m_tokenize"): refused,
        counter(FAILURES, "m"): failed,
        counter("nv_inference_request_success", "m_head"): all_,
    }


def told(*pages):
    """What is given at each call, which reads two of the pages."""
    left = iter(pages)
    series = SettledSeries(lambda: next(left), sleep=lambda seconds: None)
    found = []
    for _ in range(len(pages) // 2):
        values = {(name, dict(labels).get("le")): value for (name, labels), value in series().items()}
        found.append(
            {
                "quick": values.get(("encserve_request_duration_seconds_bucket", "0.1")),
                "all": values.get(("encserve_request_duration_seconds_bucket", "+Inf")),
                "refused": values.get(("encserve_refused_requests", None)),
                "failed": values.get((FAILURES, None)),
                "answered": values["nv_inference_request_success", None],
            }
        )
    return found


def test_a_step_that_is_telling_its_counts_is_as_it_was_before():
    still, torn, told_all = page(quick=10, all_=10), page(quick=10, all_=150), page(quick=150, all_=150)
    first, second, third = told(still, still, still, torn, told_all, told_all)
    assert (first["quick"], first["all"]) == (second["quick"], second["all"]) == (10, 10)
    assert second["answered"] == 150  # which Triton counts itself
    assert (third["quick"], third["all"]) == (150, 150)


def test_failures_are_of_before_what_is_known_of_refusals():
    before = page(quick=0, all_=0)
    refusing = page(quick=0, all_=0, failed=100)  # which the step has not told yet
    telling = page(quick=0, all_=0, failed=120, refused=50)
    known = page(quick=0, all_=0, failed=140, refused=110)
    found = told(before, before, refusing, refusing, refusing, telling, known, known, known, known)
    assert [(each["failed"], each["refused"]) for each in found] == [(0, 0), (0, 0), (0, 0), (100, 110), (140, 110)]
    assert all(each["failed"] <= each["refused"] for each in found[:4])


def test_a_page_that_cannot_be_read_is_an_error():
    def unreadable():
        raise OSError("refused")

    with pytest.raises(OSError, match="refused"):
        SettledSeries(unreadable)()
