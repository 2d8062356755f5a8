"""The page at `/` in a real browser, before fake pipelines; tests/integration asks it of real ones."""

import hashlib
import json
import re

import numpy as np
import pytest
from chromium import browser, contrasts, opened  # noqa: F401
from playwright.sync_api import expect
from unit.gateway.listening import listening
from unit.gateway.pipelines import PIPELINES, Fake, answer, vector_of

from encserve import Overloaded
from encserve_gateway.aliases import Alias

HOSTILE = '<img src=x onerror="window.ran=1">'
ALIAS = Alias(name=f'odd "name" \\ {HOSTILE}', pipeline="embed")
NAMES = [ALIAS.name, *sorted(each.name for each in PIPELINES)]


def hostile(request):
    """What the fakes say, with markup for labels; a text of "full" finds no room."""
    if b"full" in request.inputs["text"]:
        raise Overloaded("a reason")
    tensors = answer(request)
    if request.model == "classify":
        tensors["label"] = np.full(tensors["label"].shape, HOSTILE.encode(), object)
    return tensors


@pytest.fixture(scope="module")
def url():
    with listening(Fake(hostile, timeout_s=0.5, aliases=(ALIAS,)).gateway) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def page(browser, url):  # noqa: F811
    with opened(browser, url) as page:
        yield page


def choose(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def field(page, label):
    return page.locator("#question").get_by_label(re.compile(f"^{label}"))


def asked(page):
    """The answer of the form, once it is there."""
    page.get_by_role("button", name="Ask", exact=True).click()
    shown = page.locator("#answer")
    expect(shown).to_contain_text("tokens seen")
    return shown


def test_every_name_and_what_it_is(page):
    expect(page.locator("#state")).to_have_text("ready")
    buttons = page.locator("#pipelines th[scope=row] button")
    expect(buttons).to_have_text(NAMES)
    row = page.locator("#pipelines tbody tr", has=page.get_by_role("button", name="tag", exact=True))
    for told in ("token-classification", "ready", "fp32 python", "0" * 12):
        expect(row).to_contain_text(told)


def test_similarity_of_vectors(page):
    choose(page, "plain")
    field(page, "Texts").fill("a\nb c\n\n a \n")
    cells = asked(page).locator(".map td:not(:empty)")
    vectors = np.array([vector_of(text) for text in ("a", "b c", "a")])
    assert [float(text.replace("−", "-")) for text in cells.all_text_contents()] == pytest.approx(
        (vectors @ vectors.T).ravel(), abs=0.0051
    )


def test_a_map_has_an_end(page):
    choose(page, "plain")
    field(page, "Texts").fill("\n".join(f"text {number}" for number in range(500)))
    answered = asked(page)
    expect(answered).to_contain_text("500 vectors of 16 numbers; the map has the first 30.")
    expect(answered.locator(".map tbody tr")).to_have_count(30)


def test_a_prompt_is_sent(page):
    choose(page, "embed")
    field(page, "Prompt").select_option("query")
    with page.expect_request("**/v1/feature-extraction") as sent:
        asked(page)
    assert sent.value.post_data_json["prompt_name"] == "query"
    field(page, "Prompt").select_option("")
    with page.expect_request("**/v1/feature-extraction") as sent:
        asked(page)
    assert "prompt_name" not in sent.value.post_data_json, "so that an alias keeps its own"


def test_what_was_cut_is_said(page):
    choose(page, "plain")
    field(page, "Texts").fill("short\n" + "word " * 20)
    answered = asked(page)
    expect(answered.locator(".problem")).to_have_text("11 tokens seen, 14 dropped.")
    answered.get_by_text("Text by text").click()
    expect(answered.locator(".counts tbody tr")).to_have_text(["130", "2814"])


def test_spans_count_characters_as_python_does(page):
    choose(page, "tag")
    field(page, "Text").fill("😀 👩‍👩‍👧‍👦 Paris")
    expect(asked(page).locator("mark")).to_have_text(["😀LOC", "ParisO"])
    choose(page, "question")
    field(page, "Context").fill("😀 Paris by night")
    answered = asked(page)
    expect(answered.locator("mark")).to_have_text(["😀"])
    expect(answered.locator(".bars .what")).to_have_text(["😀", "Paris", "by"])


def test_nothing_that_comes_from_outside_is_markup(page):
    choose(page, "classify")
    field(page, "Texts").fill(HOSTILE)
    expect(asked(page).locator(".bars .what").first).to_have_text(HOSTILE)
    choose(page, ALIAS.name)
    expect(page.locator("#try-title")).to_have_text(f"Try {ALIAS.name}")
    field(page, "Texts").fill(HOSTILE)
    expect(asked(page).locator(".map th[scope=row]")).to_have_text(f"1 {HOSTILE}")
    assert page.locator("img").count() == 0
    assert page.evaluate("window.ran") is None


def test_the_policy_lets_no_other_script_run(browser, url):  # noqa: F811
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)
    page.evaluate("it = document.createElement('script'), it.text = 'window.ran = 1', document.body.append(it)")
    assert page.evaluate("window.ran") is None
    context.close()


def test_a_refusal_is_told_and_the_next_answer_replaces_it(page):
    choose(page, "plain")
    field(page, "Texts").fill("full")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#answer [role=alert]")).to_contain_text("has no room")
    field(page, "Texts").fill(" \n ")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#answer [role=alert]")).to_contain_text("there is none")
    field(page, "Texts").fill("a")
    expect(asked(page).locator("[role=alert]")).to_have_count(0)


def test_by_keyboard_alone(page):
    expect(page.locator("#pipelines button").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("textarea").first).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer")).to_contain_text("tokens seen")
    for _ in range(40):  # backwards to a button of the table
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.dataset.model") == "tag":
            break
    page.keyboard.press("Enter")
    expect(page.locator("#try-title")).to_have_text("Try tag")
    expect(page.locator("#question")).to_be_focused()
    fields = page.locator("input, textarea, select")
    assert all(fields.evaluate_all("fields => fields.map(field => field.labels.length)"))


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_the_form_of_every_task_can_be_read_on_any_screen(browser, url, scheme, width):  # noqa: F811
    with opened(browser, url, color_scheme=scheme, viewport={"width": width, "height": 740}) as page:
        expect(page.locator("#now dd").first).not_to_have_text("–")
        for name in NAMES[1:]:
            choose(page, name)
            expect(page.locator("#try-title")).to_have_text(f"Try {name}")
            asked(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            assert [each for each in contrasts(page) if each[0] < 4.5] == [], name


def test_rates_are_those_of_what_is_asked(page):
    choose(page, "plain")
    asked(page)
    figures = page.locator("#now div", has_text="texts a second").locator("dd")
    expect(figures).to_have_text(re.compile(r"0\.[1-9]|[1-9]"), timeout=15_000)
    row = page.locator("#pipelines tbody tr", has=page.get_by_role("button", name="plain", exact=True))
    expect(row.locator("[data-name='p50, p95 ms']")).not_to_have_text("–, –")


NUMBERS = """async ([first, second]) => {
  const { lookAt, between } = await import('/page/numbers.js');
  const seen = between(lookAt(first, 10), lookAt(second, 14));
  return { ...seen, models: Object.fromEntries(seen.models) };
}"""


def test_numbers_are_reckoned_as_prometheus_does(page, url):
    fake = Fake(aliases=(ALIAS,))
    metrics = fake.gateway.metrics
    requests, seconds = metrics._requests.labels, metrics._seconds.labels
    for _ in range(3):
        requests("/v1/embeddings", "openai", ALIAS.name, 200).inc()
    before = metrics.page().decode()
    for took_s in (0.004, 0.004, 0.004, 0.07, 100.0):
        requests("/embed", "tei", ALIAS.name, 200).inc()
        seconds("/embed", "tei", ALIAS.name).observe(took_s)
    requests("/health", "operation", "", 200).inc()
    metrics.refused("overloaded")
    seen = page.evaluate(NUMBERS, [before, metrics.page().decode()])
    assert (seen["perSecond"], seen["refusedPerSecond"]) == (1.25, 0.25)
    assert seen["models"][ALIAS.name]["p50"] == pytest.approx(0.0025 + 0.0025 * 2.5 / 3)
    assert seen["p95"] == 30.0, "the greatest limit, as beyond it nothing is known"
    again = page.evaluate(NUMBERS, [metrics.page().decode(), before])
    assert (again["perSecond"], again["p50"]) == (0, None), "a gateway that was started anew"


def test_a_key_is_asked_for_and_kept_nowhere(browser, tmp_path):  # noqa: F811
    file, key = tmp_path / "keys.json", "a-key"
    file.write_text(
        json.dumps({"keys": [{"name": "one", "sha256": hashlib.sha256(key.encode()).hexdigest(), "models": ["plain"]}]})
    )
    with listening(Fake(keys=file).gateway) as port, opened(browser, f"http://127.0.0.1:{port}/") as page:
        expect(page.locator("#problem")).to_contain_text("key")
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        expect(page.locator("#pipelines tbody th")).to_have_text(["plain"])
        expect(page.locator("#problem")).to_be_hidden()
        asked(page)
        assert page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]") == ["", 0, 0]
        assert key not in page.url + page.content()
        page.reload()
        expect(page.locator("#access")).to_be_visible()


def test_it_says_when_the_gateway_is_gone(browser):  # noqa: F811
    context = browser.new_context()
    page = context.new_page()
    with listening(Fake().gateway) as port:
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.locator("#state")).to_have_text("ready")
        page.route("**/*", lambda route: route.abort())
        expect(page.locator("#problem")).to_have_text("The gateway does not answer.", timeout=15_000)
        expect(page.locator("#state")).to_have_text("silent")
    context.close()
