"""The verdict in words."""

from dataclasses import replace

from encserve_loadtest.estimate.capacity import Confidence
from encserve_loadtest.findings import Prediction
from encserve_loadtest.report.summary import render_text


def test_the_terminal_says_it_all(findings):
    text = render_text(findings)
    for part in (
        "one replica holds",
        "replicas",
        "a million texts cost",
        "limited by",
        "compute",
        "25 % too high",
        "95 % interval",
    ):
        assert part in text


def test_a_range_is_no_interval_and_says_why_first(findings):
    findings.capacity = replace(
        findings.capacity, confidence=Confidence.RANGE, reasons=("it is too short",), needed_s=700.0
    )
    first, *rest = render_text(findings).splitlines()
    assert first == "only a range is known: it is too short; an interval takes --time-limit 15min at least"
    assert "range 38.0 to 47.0" in rest[0]
    assert "95 %" not in render_text(findings)


def test_a_prediction_that_missed_is_said_first(findings):
    assert render_text(findings).startswith("one replica holds")
    findings.predictions.append(Prediction(rate_per_s=8, predicted_s=0.05, measured_s=0.1, inside=False))
    text = render_text(findings)
    assert text.startswith(
        "the curve is not to be trusted: at 8.00 requests/s it was 50 % too low, and the bound is 30 %"
    )
    assert "interpolation tested" in text
    assert "prediction tested" in text


def test_first_pieces_have_a_line_where_they_have_a_target(findings):
    assert "first piece" not in render_text(findings)
    findings.config = replace(findings.config, first_p99_s=0.01)
    text = render_text(findings)
    assert "99 % of the first pieces within 10.0 ms and of the answers within 100 ms" in text
    assert "first piece" in text
    findings.windows.clear()
    assert "first piece  " not in render_text(findings)
