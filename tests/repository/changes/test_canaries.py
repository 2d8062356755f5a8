"""A candidate in a repository: stated and taken back with one rename, kept by a restart, ended by a promotion."""

import json

import pytest
from promotions import Server, candidacy_on, promotion_on, two_versions
from toy_versions import check_loadable, every_model_is_whole, killed_at, write_version

from encserve import Candidate, DeadlineExceeded, InferenceFailed
from encserve_repository.activation import active_candidate, rollback_version, surplus
from encserve_repository.config_text import parameters_of, pinned_versions, read_config, to_text
from encserve_repository.layout import candidate_model
from encserve_repository.serving import marked_as_served
from encserve_repository.versions import active_config, active_version
from encserve_server.administration import version_beside
from encserve_server.errors import PromotionFailed
from encserve_server.launcher import candidates
from encserve_server.launcher.repository import drop_what_is_not_active, read_pipelines

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of fork in a process with threads
    pytest.mark.usefixtures("answers"),
]


@pytest.fixture
def server(memory):
    return two_versions(memory / "models")


def stated(server):
    (pipeline,) = read_pipelines(server.repository)
    return pipeline.candidate


def offered(server):
    return pinned_versions(active_config(server.repository, "minilm_encode"))


def test_a_canary_is_stated_where_clients_read_it_and_its_version_stays_loaded(server):
    candidacy_on(server).canary(2, 0.05)
    assert stated(server) == Candidate(version="2", share=0.05)
    assert server.loaded[-2:] == ["minilm_candidate", "minilm"]
    assert check_loadable(server.repository) == server.version == 1
    assert offered(server) == [1, 2]


def test_a_share_can_be_changed_and_the_canary_ended_twice(server):
    candidacy_on(server).canary(2, 0.05)
    candidacy_on(server).canary(2, 0.2)
    assert stated(server) == Candidate(version="2", share=0.2)
    for _ in range(2):
        candidacy_on(server).end_canary()
        assert stated(server) is None
    assert check_loadable(server.repository) == server.version == 1
    drop_what_is_not_active(server.repository)
    assert offered(server) == [1]


def test_a_share_that_is_larger_stays_where_at_least_another_is_wanted(server):
    candidacy_on(server).canary(2, 0.2)
    candidacy_on(server).canary(2, 0.05, at_least=True)
    assert stated(server) == Candidate(version="2", share=0.2)
    candidacy_on(server).canary(2, 0.4, at_least=True)
    assert stated(server) == Candidate(version="2", share=0.4)


def test_a_candidate_may_have_both_shares_and_ends_with_the_last(server):
    candidacy_on(server).shadow(2, 0.5)
    assert stated(server) == Candidate(version="2", shadow=0.5)
    candidacy_on(server).canary(2, 0.1)
    assert stated(server) == Candidate(version="2", share=0.1, shadow=0.5)
    candidacy_on(server).end_shadow()
    assert stated(server) == Candidate(version="2", share=0.1)
    assert "minilm_candidate" in server.loaded
    candidacy_on(server).end_canary()
    assert stated(server) is None
    assert "minilm_candidate" not in server.loaded


def test_a_restart_keeps_the_candidate_and_serves_it_again(server, monkeypatch):
    candidacy_on(server).canary(2, 0.05)
    drop_what_is_not_active(server.repository)
    assert surplus(server.repository) == set()
    assert offered(server) == [1, 2]
    again, asked = Server(server.repository), []
    monkeypatch.setattr(candidates, "ask", lambda client, pipeline: asked.append((pipeline.name, pipeline.version)))
    started(again)
    assert again.loaded == ["minilm_candidate"]
    assert asked == [("minilm_candidate", "2")]


def started(server, report=lambda line: None):
    pipelines = candidates.with_fit_candidates(
        server.repository, read_pipelines(server.repository), None, report=report
    )
    candidates.serve_candidates(server.repository, pipelines, administration=server, asker=server, report=report)


@pytest.fixture(autouse=True)
def any_host(monkeypatch):
    monkeypatch.setattr(candidates, "check_pipelines", lambda repository, pipelines, host: None)


def test_a_candidate_that_is_damaged_is_taken_back_by_a_start_and_the_active_version_serves(server):
    candidacy_on(server).canary(2, 0.05)
    (server.repository / "minilm_encode/2/model.py").write_text("damaged")
    again, said = Server(server.repository), []
    started(again, said.append)
    assert "version 2 of minilm is not served as its candidate, which it is no more" in said[0]
    assert (stated(server), again.loaded) == (None, [])
    drop_what_is_not_active(server.repository)
    assert offered(server) == [1]


def test_a_damaged_candidate_in_a_repository_that_cannot_be_written_is_not_served(server, monkeypatch):
    candidacy_on(server).canary(2, 0.05)
    (server.repository / "minilm_encode/2/model.py").write_text("damaged")
    again, said = Server(server.repository), []

    def read_only(repository):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(candidates, "open_work_folder", read_only)
    started(again, said.append)
    assert again.loaded == []
    (line,) = said
    assert "is not the certified file" in line
    assert "stays stated, since Read-only file system" in line


def test_a_candidate_that_does_not_answer_after_a_start_is_told_and_tried_by_the_next(server):
    candidacy_on(server).canary(2, 0.05)
    again, said = Server(server.repository), []
    again.failing["minilm_candidate"] = InferenceFailed("no")
    started(again, said.append)
    assert "version 2 of minilm, its candidate, does not answer; the active one answers all" in said[0]
    assert stated(server) == Candidate(version="2", share=0.05)


@pytest.mark.parametrize(
    ("act", "serves"),
    [
        (lambda promotion: promotion.promote(2), 2),
        (lambda promotion: promotion.promote(3), 3),
        (lambda promotion: promotion.rollback(), 1),
    ],
    ids=["the candidate", "another", "rollback"],
)
def test_a_promotion_or_rollback_ends_a_canary(server, act, serves):
    with marked_as_served(server.repository):
        write_version(server.repository)
    promotion_on(server).promote(3)
    promotion_on(server).rollback()
    candidacy_on(server).canary(2, 0.05)
    if serves == 1:
        candidacy_on(server).end_canary()
        promotion_on(server).promote(3)
        candidacy_on(server).canary(2, 0.05)
    act(promotion_on(server))
    assert (stated(server), server.version) == (None, serves)
    assert check_loadable(server.repository) == serves
    assert "minilm_candidate" not in server.loaded


def test_killed_at_any_change_a_candidate_is_stated_or_not_and_all_goes_on(memory):
    change, found = 0, []
    while True:
        server = two_versions(memory / str(change) / "models")
        killed = killed_at(change, lambda server=server: candidacy_on(server).canary(2, 0.05))
        every_model_is_whole(server.repository)
        assert check_loadable(server.repository) == 1
        found.append(stated(server) is not None)
        drop_what_is_not_active(server.repository)
        assert offered(server) == ([1, 2] if found[-1] else [1])
        promotion_on(Server(server.repository)).promote(2)
        assert rollback_version(server.repository, "minilm") == 1
        if not killed:
            break
        change += 1
    assert found == sorted(found), "there is one moment"
    assert set(found) == {False, True}


@pytest.mark.parametrize("model", ["minilm_encode", "minilm_candidate", "minilm"])
def test_what_does_not_load_is_no_candidate(server, model):
    before = (server.repository / "minilm/config.pbtxt").read_bytes()
    server.failing[model] = InferenceFailed("no")
    with pytest.raises(PromotionFailed):
        candidacy_on(server).canary(2, 0.05)
    assert (server.repository / "minilm/config.pbtxt").read_bytes() == before
    assert surplus(server.repository) == set()
    assert offered(server) == [1]


def test_what_does_not_answer_is_no_candidate_and_does_not_stay_loaded(server, monkeypatch):
    def fail(client, pipeline):
        raise InferenceFailed("NaN")

    monkeypatch.setattr(version_beside, "ask", fail)
    with pytest.raises(PromotionFailed, match="version 2 of minilm does not answer: NaN"):
        candidacy_on(server).canary(2, 0.05)
    assert (stated(server), offered(server)) == (None, [1])
    assert "minilm_candidate" not in server.loaded


def test_a_lost_answer_leaves_stated_what_the_server_may_be_telling_by_now(server):
    server.failing["minilm"] = DeadlineExceeded("too late")
    with pytest.raises(PromotionFailed, match="is not known; do it again"):
        candidacy_on(server).canary(2, 0.05)
    assert stated(server) == Candidate(version="2", share=0.05)
    assert offered(server) == [1, 2]
    server.failing.clear()
    candidacy_on(server).end_canary()
    assert stated(server) is None


def test_the_version_that_serves_and_a_second_candidate_are_refused(server):
    with pytest.raises(PromotionFailed, match="version 1 of minilm is the one that serves"):
        candidacy_on(server).canary(1, 0.05)
    with pytest.raises(PromotionFailed, match="no version 7"):
        candidacy_on(server).canary(7, 0.05)
    with marked_as_served(server.repository):
        write_version(server.repository)
    candidacy_on(server).canary(2, 0.05)
    with pytest.raises(PromotionFailed, match="encserve canary minilm --end"):
        candidacy_on(server).canary(3, 0.05)
    assert stated(server) == Candidate(version="2", share=0.05)


def test_a_version_that_does_something_else_is_refused(server):
    file = server.repository / "minilm/2/config.pbtxt"
    file.write_text(file.read_text().replace('"feature-extraction"', '"text-classification"'))
    with pytest.raises(PromotionFailed, match="does text-classification, and the active one feature-extraction"):
        candidacy_on(server).canary(2, 0.05)
    assert stated(server) is None


def test_a_server_that_serves_another_version_than_its_next_start_gets_no_candidate(server):
    """Loading the pipeline again, as it says its candidate then, would be a promotion that nobody asked for."""
    with marked_as_served(server.repository):
        write_version(server.repository)
    server.failing["minilm"] = DeadlineExceeded("too late")
    with pytest.raises(PromotionFailed, match="is not known"):
        promotion_on(server).promote(2)
    server.failing.clear()
    with pytest.raises(PromotionFailed, match="serves version 1 of minilm, and its next start version 2"):
        candidacy_on(server).canary(3, 0.05)
    assert (server.version, stated(server)) == (1, None)
    promotion_on(server).promote(2)
    candidacy_on(server).canary(3, 0.05)
    assert (server.version, stated(server).version) == (2, "3")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("dimensions", "17", "gives vectors of 17 numbers, and version 1 of"),
        ("labels", '["other"]', "has other labels than version 1"),
    ],
)
def test_what_its_callers_will_notice_is_told(server, key, value, said):
    file = server.repository / "minilm/2/config.pbtxt"
    config = read_config(file)
    config.parameters[key].string_value = value
    file.write_text(to_text(config))
    lines = []
    candidacy_on(server, lines.append).canary(2, 0.05)
    assert [line for line in lines if said in line]
    lines.clear()
    candidacy_on(server, lines.append).end_canary()
    assert not [line for line in lines if said in line]


def test_an_export_leaves_a_candidate_as_it_is(server):
    candidacy_on(server).canary(2, 0.05)
    with marked_as_served(server.repository):
        write_version(server.repository)
    assert stated(server) == Candidate(version="2", share=0.05)
    assert offered(server) == [1, 2]


def test_repository_and_clients_have_the_same_words(server):
    candidacy_on(server).canary(2, 0.05)
    assert active_candidate(server.repository, "minilm") == 2
    text = parameters_of(active_config(server.repository, "minilm"))["candidate"]
    assert json.loads(text) == {"version": "2", "share": 0.05}
    from encserve._candidate import candidate_model as as_clients_say

    assert as_clients_say("minilm") == candidate_model("minilm")
    assert active_version(server.repository, "minilm") == 1
