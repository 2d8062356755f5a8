"""Promoting a pipeline that a cascade was fitted to."""

import pytest
from promotions import promotion_on, two_versions
from stated_cascades import of, state_cascade

from encserve_repository.cascades import cascades_asking


def test_cascades_are_found_by_what_they_ask(memory):
    server = two_versions(memory / "models")
    state_cascade(server.repository, "both", of("minilm", "other"))
    state_cascade(server.repository, "turned", of("other", "minilm"))
    for name, text in (("no_json", "{"), ("no_object", "[]"), ("no_versions", "{}")):
        state_cascade(server.repository, name, text)
    assert cascades_asking(server.repository, "minilm") == {"both": "1", "turned": "4"}
    assert cascades_asking(server.repository, "third") == {}


@pytest.mark.usefixtures("answers")
def test_a_promotion_says_which_cascades_refuse_from_now_on(memory):
    server = two_versions(memory / "models")
    state_cascade(server.repository, "both", of("minilm", "other"))
    lines = []
    promotion_on(server, report=lines.append).promote(2)
    assert lines[-1].startswith("the cascade both was fitted to version 1 of minilm: it refuses its callers until")
    lines.clear()
    promotion_on(server, report=lines.append).promote(1)
    assert not [line for line in lines if "cascade" in line]
