"""A promotion that is killed before any change of the disk, or that fails: what is active then, and the way back."""

import os

import pytest
from promotions import Server, promotion_on, two_versions
from toy_versions import check_loadable, every_model_is_whole, killed_at

from encserve import InferenceFailed, Unavailable
from encserve._messages import ServedModel
from encserve_repository.activation import rollback_version, surplus, switch
from encserve_repository.layout import STEPS
from encserve_repository.versions import active_config, active_version
from encserve_server.administration import version_beside
from encserve_server.errors import PromotionFailed
from encserve_server.launcher.repository import drop_what_is_not_active

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of fork in a process with threads
    pytest.mark.usefixtures("answers"),
]


@pytest.mark.parametrize("back", [False, True], ids=["promote", "rollback"])
def test_killed_at_any_change_one_version_is_active_and_the_way_back_is_known(back, memory):
    change, active = 0, []
    while True:
        repository = memory / str(change) / "models"
        server = two_versions(repository)
        if back:
            promotion_on(server).promote(2)
        act = promotion_on(server).rollback if back else lambda server=server: promotion_on(server).promote(2)
        killed = killed_at(change, act)
        every_model_is_whole(repository)
        active.append(check_loadable(repository))
        before, after = (2, 1) if back else (1, 2)
        assert rollback_version(repository, "minilm") == (before if active[-1] == after else (1 if back else None))
        drop_what_is_not_active(repository)  # as a start does
        assert surplus(repository) == set()
        assert check_loadable(repository) == active[-1]
        promotion_on(Server(repository)).promote(3 - active[-1])  # and the next one finds its way
        assert rollback_version(repository, "minilm") == active[-1]
        if not killed:
            break
        change += 1
    assert active == sorted(active, reverse=back), "there is one moment of promotion"
    assert set(active) == {1, 2}


def test_going_back_loads_no_step_again(memory):
    server = two_versions(memory / "models")
    promotion_on(server).promote(2)
    steps = [f"minilm_{step}" for step in STEPS]
    server.ready = [ServedModel(name=step, version=version, state="READY") for step in steps for version in ("1", "2")]
    server.loaded.clear()
    promotion_on(server).rollback()
    assert server.loaded == ["minilm"]  # and the candidate, which was unloaded


@pytest.mark.parametrize("model", ["minilm_encode", "minilm_candidate", "minilm"])
def test_what_does_not_load_changes_nothing_on_disk(model, memory):
    server = two_versions(memory / "models")
    before = {file: file.read_text() for file in (memory / "models").glob("*/config.pbtxt")}
    server.failing[model] = InferenceFailed("no")
    with pytest.raises(PromotionFailed, match=r"version 1 of minilm goes on|does not answer|and version 1 goes"):
        promotion_on(server).promote(2)
    assert server.version == active_version(memory / "models", "minilm") == 1
    del server.failing[model]
    assert surplus(memory / "models") == set()
    for file, text in before.items():
        assert active_config(memory / "models", file.parent.name).version_policy.specific.versions == [1], text
    promotion_on(server).promote(2)
    assert promotion_on(server).rollback() == 1


def test_a_promotion_that_fails_at_the_last_load_keeps_the_way_back(three_versions):
    server = three_versions
    file = server.repository / "minilm/config.pbtxt"
    before = file.read_bytes()
    server.failing["minilm"] = InferenceFailed("no")
    with pytest.raises(PromotionFailed, match="version 2 of minilm goes on serving"):
        promotion_on(server).promote(3)
    server.failing.clear()
    assert (file.read_bytes(), server.version) == (before, 2)
    assert promotion_on(server).rollback() == server.version == 1


def test_after_a_promotion_that_was_killed_between_rename_and_load_one_can_go_both_ways(three_versions):
    server = three_versions

    def die_at_the_last_load():
        load = server.load
        server.load = lambda model, **given: os._exit(0) if model == "minilm" else load(model)
        promotion_on(server).promote(3)

    assert not killed_at(10**6, die_at_the_last_load)
    assert (active_version(server.repository, "minilm"), server.version) == (3, 2)
    assert promotion_on(server).rollback() == server.version == check_loadable(server.repository) == 2
    assert promotion_on(server).rollback() == server.version == check_loadable(server.repository) == 3


def test_one_looks_at_what_serves_when_nobody_else_promotes(three_versions, monkeypatch):
    """Another promotion may end while one waits for it."""
    server = three_versions
    recover = version_beside.recover

    def after_another(work, names):
        monkeypatch.setattr(version_beside, "recover", recover)
        switch(work, "minilm", 3)
        server.load("minilm")
        recover(work, names)

    monkeypatch.setattr(version_beside, "recover", after_another)
    assert promotion_on(server).rollback() == server.version == 2
    assert rollback_version(server.repository, "minilm") == 3


def test_one_can_leave_a_damaged_version(three_versions):
    server = three_versions
    (server.repository / "minilm/2/manifest.json").write_text("{")
    assert promotion_on(server).promote(3) == 2
    assert server.version == 3


@pytest.mark.parametrize("error", [Unavailable("gone"), KeyboardInterrupt()], ids=repr)
def test_the_steps_offer_what_is_active_again_whatever_ends_a_promotion(error, memory):
    class Dying(Server):
        def pipelines(self, *, timeout_s):
            raise error

    two_versions(memory / "models")
    with pytest.raises(type(error)):
        promotion_on(Dying(memory / "models")).promote(2)
    assert surplus(memory / "models") == set()
    assert check_loadable(memory / "models") == 1
