"""What a start says of cascades that will refuse, and which it refuses itself."""

import pytest

from encserve import Cascade
from encserve.testing import fake_pipeline
from encserve_server.config import ServeConfig
from encserve_server.errors import RepositoryError
from encserve_server.launcher.cascades import check_cascades, unfit_cascades
from encserve_server.launcher.server import TritonServer

BOTH = fake_pipeline(
    name="both",
    cascade=Cascade(
        small="a",
        small_version="1",
        large="b",
        large_version="2",
        threshold=0.9,
        agreement=0.99,
        confidence=0.95,
        escalated=0.2,
    ),
)


def test_a_cascade_of_what_is_served_is_fine():
    assert not list(unfit_cascades([fake_pipeline(name="a"), fake_pipeline(name="b", version="2"), BOTH]))


def test_another_version_and_none_are_said():
    assert list(unfit_cascades([fake_pipeline(name="a", version="3"), BOTH])) == [
        "the cascade both refuses its callers: it was fitted to version 1 of a, and version 3 is served",
        "the cascade both refuses its callers: it was fitted to version 2 of b, and it is not served",
    ]


def test_a_server_does_not_start_with_a_cascade_that_can_answer_nobody(tmp_path, monkeypatch):
    pipelines = (fake_pipeline(name="b", version="2"), BOTH)
    monkeypatch.setattr("encserve_server.launcher.server.read_pipelines", lambda repository, names: pipelines)
    with (
        pytest.raises(RepositoryError, match="the cascade both asks a about every text, and that is not served"),
        TritonServer(ServeConfig(repository=tmp_path)),
    ):
        pytest.fail("it serves")


def test_one_that_refuses_its_callers_does_not_keep_the_server_from_starting():
    check_cascades([fake_pipeline(name="a", version="3"), BOTH])
