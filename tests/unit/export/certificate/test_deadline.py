"""A certificate asks no further texts once its time is over, whoever of the two took it."""

from types import SimpleNamespace

import pytest

from encserve_export.certificate.subject import asked as asked_module
from encserve_export.certificate.subject.asked import AskedSubject
from encserve_export.texts.questions import Form

TEXTS = [f"text {number}" for number in range(100)]


class Asked(AskedSubject):
    """Both take three seconds together for a request of eight texts."""

    form = Form(task="feature-extraction", layout="single_texts", max_length=64, texts_per_request=8)

    def __init__(self, clock):
        self.clock, self.texts = clock, []

    def _with_tokens(self, texts):
        return texts

    def _ask(self, examination, requests):
        self.clock.now_s += 3
        self.texts += [text for request in requests for text in request.inputs["text"]]


@pytest.mark.parametrize(("until_s", "asked"), [(0, 0), (7, 24), (9, 24), (10, 32), (1000, 100)])
def test_no_request_is_begun_after_the_deadline(until_s, asked, monkeypatch):
    clock = SimpleNamespace(now_s=0.0)
    monkeypatch.setattr(asked_module, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    asking = Asked(clock)
    asking.further(None, TEXTS, until_s=until_s)
    assert asking.texts == TEXTS[:asked]
