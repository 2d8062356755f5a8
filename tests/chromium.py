"""Debian's Chromium, driven by Playwright. A module that imports `browser` has one, and no test that is awaited:
Playwright runs a loop of its own while it is open."""

from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

EXECUTABLE = "/usr/bin/chromium"


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=EXECUTABLE)
        yield running
        running.close()


@contextmanager
def opened(browser, address, **options):
    """A page in a browser that nobody has used; at the end there must be nothing that it complained of."""
    context = browser.new_context(**options)
    page = context.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    try:
        yield page
    finally:
        context.close()
    refusals = ("status of 4", "status of 5")  # which tests ask for
    assert [text for text in said if not any(refusal in text for refusal in refusals)] == []


CONTRASTS = (Path(__file__).parent / "contrasts.js").read_text()


def contrasts(page):
    """The contrast of every text that is seen to what is behind it, as WCAG reckons it: [(ratio, text)]."""
    return page.evaluate(CONTRASTS)
