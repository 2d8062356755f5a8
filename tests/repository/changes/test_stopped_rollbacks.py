"""Going back where no server answers: what the next start serves."""

import pytest
from promotions import Server, candidacy_on, promotion_on, two_versions
from stated_cascades import of, state_cascade
from toy_versions import check_loadable, write_version

from encserve import Overloaded, Unavailable
from encserve._cli import main
from encserve_repository.activation import active_candidate, rollback_version, surplus
from encserve_repository.serving import marked_as_served
from encserve_server.administration.candidacy import Candidacy
from encserve_server.administration.promotion import Promotion
from encserve_server.errors import PromotionFailed


@pytest.fixture
def stopped(memory, answers):
    """A server that is gone, on a repository whose version 2 was promoted in the place of 1."""
    repository = memory / "models"
    write_version(repository)
    with marked_as_served(repository):
        write_version(repository)
    server = Server(repository)
    promotion_on(server).promote(2)
    server.version = None
    return server


def test_the_next_start_serves_the_version_before(stopped):
    said = []
    assert promotion_on(stopped, report=said.append).rollback_stopped() == 1
    assert check_loadable(stopped.repository) == 1
    assert surplus(stopped.repository) == set()
    assert rollback_version(stopped.repository, "minilm") == 2, "and there is a way back"
    assert said == [f"no server answers: the next start on {stopped.repository} serves version 1 of minilm"]


def test_a_version_that_is_not_active_any_more_is_not_gone_back_from(stopped):
    """The version before the active one would be the bad one."""
    versions = promotion_on(stopped)
    assert versions.rollback_stopped(of=2) == 1
    with pytest.raises(
        PromotionFailed, match="the next start serves version 1 of minilm, and not 2: nothing is rolled"
    ):
        versions.rollback_stopped(of=2)
    assert check_loadable(stopped.repository) == 1


def test_it_is_said_which_cascades_the_next_start_refuses(stopped):
    state_cascade(stopped.repository, "both", of("minilm", "other"))
    state_cascade(stopped.repository, "turned", of("other", "minilm"))
    said = []
    promotion_on(stopped, report=said.append).rollback_stopped()
    (told,) = said[1:]
    assert told.startswith("the cascade turned was fitted to version 4 of minilm: it refuses its callers until")


def test_a_server_that_is_there_and_silent_keeps_what_it_serves(stopped):
    with marked_as_served(stopped.repository), pytest.raises(PromotionFailed, match=r"does not answer: stop it first"):
        promotion_on(stopped).rollback_stopped()
    assert check_loadable(stopped.repository) == 2


def test_the_candidate_of_a_server_that_is_gone_ends_for_the_next_start(memory, answers):
    server = two_versions(memory / "models")
    repository, versions = server.repository, candidacy_on(server)
    versions.canary(2, 0.1)
    assert not versions.is_gone()
    server.version = None
    with marked_as_served(repository), pytest.raises(PromotionFailed, match="does not answer: stop it first"):
        versions.end_canary_stopped(of=2)
    assert active_candidate(repository, "minilm") == 2
    with pytest.raises(PromotionFailed, match="version 3 of minilm is no candidate any more: nothing is changed"):
        versions.end_canary_stopped(of=3)
    assert active_candidate(repository, "minilm") == 2
    versions.end_canary_stopped(of=2)
    assert (active_candidate(repository, "minilm"), check_loadable(repository)) == (None, 1)


def test_an_end_that_no_server_can_be_told_of_is_not_stated(memory, answers):
    server = two_versions(memory / "models")
    versions = candidacy_on(server)
    versions.canary(2, 0.1)
    server.version = None
    server.failing["minilm"] = Unavailable("gone")
    for end in (versions.end_canary, versions.end_shadow):
        with pytest.raises(Unavailable, match="gone"):
            end()
    assert active_candidate(server.repository, "minilm") == 2


def test_of_a_candidate_with_both_shares_the_next_start_has_the_other(memory, answers):
    server, said = two_versions(memory / "models"), []
    versions = candidacy_on(server, said.append)
    versions.canary(2, 0.1)
    versions.shadow(2, 0.5)
    server.version = None
    versions.end_shadow_stopped()
    assert said[-1].endswith("serves minilm with candidate 2, for the other share that it has")
    versions.end_canary_stopped()
    assert said[-1] == f"no server answers: the next start on {server.repository} serves minilm without a candidate"
    assert active_candidate(server.repository, "minilm") is None


@pytest.mark.parametrize(("error", "gone"), [(Unavailable("gone"), True), (Overloaded("busy"), False)])
def test_a_server_is_gone_where_nobody_answers_and_nobody_has_the_repository(stopped, error, gone):
    def models():
        raise error

    stopped.models = models
    versions = promotion_on(stopped)
    assert versions.is_gone() == gone
    with marked_as_served(stopped.repository):
        assert not versions.is_gone()


def test_a_damaged_version_is_not_gone_back_to(stopped):
    (stopped.repository / "minilm_tokenize/1/model.py").write_text("damaged")
    with pytest.raises(PromotionFailed, match="version 1 of minilm is damaged"):
        promotion_on(stopped).rollback_stopped()
    assert check_loadable(stopped.repository) == 2


@pytest.mark.parametrize(("error", "stops"), [(Unavailable("gone"), True), (Overloaded("busy"), False)])
def test_the_command_does_it_where_the_server_is_gone_and_not_where_it_is_busy(stopped, monkeypatch, error, stops):
    def refuse(self):
        raise error

    monkeypatch.setattr(Promotion, "rollback", refuse)
    code = main(["rollback", "minilm", "--repository", str(stopped.repository), "--url", "localhost:1"])
    assert (code == 0, check_loadable(stopped.repository)) == (stops, 1 if stops else 2)


@pytest.mark.parametrize("kind", ["canary", "shadow"])
@pytest.mark.parametrize(("error", "stops"), [(Unavailable("gone"), True), (Overloaded("busy"), False)])
def test_so_does_the_end_of_a_candidate(memory, answers, monkeypatch, kind, error, stops):
    def refuse(self):
        raise error

    server = two_versions(memory / "models")
    getattr(candidacy_on(server), kind)(2, 0.1)
    monkeypatch.setattr(Candidacy, f"end_{kind}", refuse)
    code = main([kind, "minilm", "--end", "--repository", str(server.repository), "--url", "localhost:1"])
    assert (code == 0, active_candidate(server.repository, "minilm")) == (stops, None if stops else 2)
