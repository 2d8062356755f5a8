"""Pages and their drawings: marks stand where their values are, all text is escaped, and nothing is loaded."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from encserve_pages.axis import Axis
from encserve_pages.bars import Bar, render_bars
from encserve_pages.chart import BOTTOM, HEIGHT, LEFT, TOP, Chart
from encserve_pages.element import element
from encserve_pages.page import Cell, Figure, Figures, Line, Prose, Table, Verdict, render_page


def svg_of(page):
    return ElementTree.fromstring(re.search(r"<svg.*?</svg>", page, re.DOTALL)[0])


def marks(svg, tag, kind):
    return [each for each in svg.iter(tag) if kind in each.get("class", "").split()]


@pytest.fixture
def chart():
    return Chart(
        x=Axis.over("length, tokens", [1, 1000], log=True), y=Axis.over("error <of> a text", [1e-6, 1e-3], log=True)
    )


def test_marks_stand_where_their_values_are(chart):
    chart.dots([(1, 1e-6, "least"), (100, 1e-4, "<more>"), (5, float("inf"), "endless")], "series-0", "a & b")
    chart.line([(1, 1e-6), (5, float("nan")), (100, 1e-4)], "fit dashed")
    chart.across(1e-3, "limit", "limit <of> int8")
    svg = svg_of(chart.render())
    (dots,) = marks(svg, "g", "series-0")
    first, second = dots.iter("circle")
    (limit,) = marks(svg, "line", "limit")
    assert LEFT < float(first.get("cx")) < float(second.get("cx"))
    assert TOP < float(limit.get("y1")) < float(second.get("cy")) < float(first.get("cy")) < HEIGHT - BOTTOM
    (line,) = marks(svg, "polyline", "fit")
    ends = [tuple(map(float, each.split(","))) for each in line.get("points").split()]
    assert ends == [(float(dot.get("cx")), float(dot.get("cy"))) for dot in (first, second)]
    assert [each.text for each in svg.iter("title")] == ["least", "<more>"]
    assert "limit <of> int8" in "".join(svg.itertext())
    assert svg.get("aria-label") == "error <of> a text by length, tokens"


def test_the_legend_names_each_kind_once(chart):
    chart.dots([(1, 1e-4, "own")], "series-1", "a & b")
    chart.dots([(2, 1e-4, "wider")], "series-1 ring")
    assert re.findall(r'class="key ([^"]+)">([^<]+)<', chart.render()) == [("series-1", "a &amp; b")]


def test_a_band_lies_around_its_middle_and_columns_stand_on_the_axis():
    chart = Chart(x=Axis.over("rate, requests/s", [100]), y=Axis.over("share, %", [50]))
    chart.band(20, 40, 30, "good", "capacity")
    chart.columns([(0, 10, 50, "0 to 10: 50 %"), (10, 20, 25, "10 to 20: 25 %")], "series-0")
    svg = svg_of(chart.render())
    (band,), (rule,) = marks(svg, "rect", "good"), marks(svg, "line", "good")
    assert float(rule.get("x1")) == pytest.approx(float(band.get("x")) + float(band.get("width")) / 2, abs=0.2)
    high, low = (float(each.get("height")) for each in marks(svg, "rect", "series-0"))
    assert high == pytest.approx(2 * low, abs=0.2)
    assert all(
        float(each.get("y")) + float(each.get("height")) == pytest.approx(HEIGHT - BOTTOM, abs=0.2)
        for each in marks(svg, "rect", "series-0")
    )


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        (Axis(label="layer", low=0, high=37), ["0", "10", "20", "30"]),
        (Axis(label="layer", low=0, high=4), ["0", "1", "2", "3", "4"]),
        (Axis.over("%", [0.02]), ["0", "0.005", "0.01", "0.015", "0.02"]),
        (Axis.over("ms", [3, 900], log=True), ["5", "10", "20", "50", "100", "200", "500", "1,000"]),
        (Axis.over("error", [1e-9, 1e-4], log=True), ["1e-9", "1e-8", "1e-7", "1e-6", "1e-5", "1e-4"]),
        (Axis.over("error", [1e-12, 1.0], log=True), ["1e-12", "1e-10", "1e-8", "1e-6", "1e-4", "0.01", "1"]),
        (Axis.over("users", [1, 64], marks=[1, 8, 64]), ["1", "8", "64"]),
        (Axis.over("tokens", [250_000]), ["0", "50,000", "100,000", "150,000", "200,000", "250,000"]),
    ],
)
def test_the_marks_of_an_axis_are_round_and_few(axis, words):
    assert [each for _, each in axis.ticks()] == words
    assert all(0 <= axis.place(value) <= 1 for value, _ in axis.ticks())


def test_what_cannot_be_shown_does_not_stretch_an_axis():
    axis = Axis.over("error", [float("nan"), float("inf"), 0.0, 1e-5], log=True)
    assert axis.low <= 1e-5 <= axis.high < 1e-4
    assert (axis.place(0.0), axis.place(1.0)) == (0, 1)
    assert Axis.over("nothing", []).high > 0
    assert Axis.over("zeros", [0.0, 0.0]).high > 0


def test_bars_have_the_length_of_their_values_and_room_for_their_words():
    bars = [
        Bar(name="a <b>", value=10.0, figure="10 MB", kind="series-0", range=(8.0, 24.0)),
        Bar(name="a rather long name of a pipeline", value=20.0, figure="20 MB", kind="series-1", note="of a note"),
    ]
    svg = svg_of(render_bars("size, MB", bars))
    a, b = (float(each.get("width")) for each in svg.iter("rect"))
    assert b == pytest.approx(2 * a, rel=1e-2)
    (line,) = marks(svg, "line", "range")
    assert float(line.get("x2")) < 560, "the range is inside"
    assert [each.text for each in svg.iter("title")] == ["a <b>: 10 MB", "of a note"]
    assert svg_of(render_bars("nothing", [])).get("viewBox") == "0 0 560 0"


def test_an_element_escapes_what_it_is_given():
    assert element("text", "<b>", class_='"x"', text_anchor="end", x=2.04, y=3.0) == (
        '<text class="&#34;x&#34;" text-anchor="end" x="2" y="3">&lt;b&gt;</text>'
    )


def test_a_page_shows_its_parts_in_order_and_loads_nothing():
    page = render_page(
        "Capacity of m<b>",
        "about & more",
        [
            Prose("it stopped </p>", tone="problem"),
            Verdict([Line("holds", "55 requests/s", "at <100 ms")], [Line("knee", "36")]),
            Figures([Figure("Size", render_bars("size", []), "The <network>")]),
            Table("Windows", ["load", "<verdict>"], [["1 user", Cell("misses", "bad")]]),
            Table("Nothing", ["a"], []),
        ],
    )
    shown = ["about &amp; more", "stopped &lt;/p&gt;", "at &lt;100 ms", "The &lt;network&gt;", "&lt;verdict&gt;"]
    assert re.findall("|".join(shown), page) == shown
    assert page.count("Capacity of m&lt;b&gt;") == 2, "in the title and on the page"
    assert '<td class="bad">misses</td>' in page
    assert "Nothing" not in page, "a table without rows is not shown"
    assert not re.search(r"https?:|<script|<link|@import|url\(|m<b>", page)
    assert "prefers-color-scheme: dark" in page
