"""What the door knows of the encode step, by the page of that."""

import pytest

from encserve_server.steps.instance import load_page
from encserve_server.steps.instance.load_page import Load, LoadWriter, page_file
from encserve_server.steps.tokenize.door.encode_load import EncodeLoad

FULL = Load(tokens=900, rate=50, room=100)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ENCSERVE_RUNTIME_FOLDER", str(tmp_path))


def test_nothing_is_known_of_a_step_without_a_page():
    assert EncodeLoad("minilm_encode", "1").of("bulk") is None


def test_the_first_who_asks_is_told_what_the_page_says():
    """A step that is full takes nobody, whether or not somebody has come before."""
    LoadWriter(page_file("minilm_encode", "1"), 0).publish("bulk", FULL)
    load = EncodeLoad("minilm_encode", "1")
    assert load.of("bulk") == FULL
    assert load.of("interactive") == Load(tokens=0, rate=0, room=0)


def test_nothing_is_known_of_a_step_that_has_ended(monkeypatch):
    LoadWriter(page_file("minilm_encode", "1"), 0).publish("bulk", FULL)
    monkeypatch.setattr(load_page, "_runs", lambda pid: False)
    assert EncodeLoad("minilm_encode", "1").of("bulk") is None
