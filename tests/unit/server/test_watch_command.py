"""`encserve promote --watch`: what it refuses before anything changes."""

import argparse
import io
import json
import shutil
import signal
import sys
from dataclasses import asdict

import pytest
from toy_manifest import toy_manifest
from toy_versions import write_version

from encserve import InvalidInput, Unavailable
from encserve_lifecycle.watch import settled
from encserve_lifecycle.watch.page import Outcome
from encserve_repository.serving import marked_as_served
from encserve_repository.versions import active_version, manifest_of
from encserve_server import promote
from encserve_server.administration import watch_command
from encserve_server.administration.watched_promotion import KEPT
from encserve_server.durations import seconds_of
from encserve_server.errors import PromotionFailed


@pytest.fixture(autouse=True)
def signals():
    """The signals that a watch follows, which have their handlers back afterwards."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def parsed(*words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    promote.add_arguments(parser)
    return parser.parse_args(["minilm", "2", *map(str, words)])


@pytest.mark.parametrize(("given", "seconds"), [("30m", 1_800), ("90s", 90), ("1.5 h", 5_400), ("2min", 120)])
def test_durations(given, seconds):
    assert seconds_of(given, "--watch") == seconds


@pytest.mark.parametrize("given", ["", "30", "0m", "-1m", "half an hour", "30 d"])
def test_what_is_no_duration_is_refused(given):
    with pytest.raises(InvalidInput, match=f"--watch is '{given}'; a positive number with a unit"):
        promote.run(parsed(f"--watch={given}"))


@pytest.mark.parametrize("option", ["--share=5%", "--metrics-url=http://x/metrics", "--report=a.html"])
def test_options_of_a_watch_alone_are_refused_by_name(option):
    with pytest.raises(InvalidInput, match=f"{option.partition('=')[0]} is for --watch"):
        promote.run(parsed(option))


def test_a_share_of_nobody_is_refused():
    with pytest.raises(InvalidInput, match="--share is 0"):
        promote.run(parsed("--watch=1m", "--share=0"))


def test_a_report_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="cannot be written"):
        promote.run(parsed("--watch=1m", f"--report={tmp_path}"))


@pytest.mark.parametrize(
    ("words", "url"),
    [
        ((), "http://localhost:8002/metrics"),
        (("--url=[::1]:9001",), "http://[::1]:8002/metrics"),
        (("--url=a:1", "--metrics-url=http://b:2/m"), "http://b:2/m"),
    ],
)
def test_where_the_counts_stand(words, url):
    assert watch_command.metrics_url_of(parsed(*words)) == url


def test_a_watch_of_several_servers_is_refused():
    with pytest.raises(InvalidInput, match="a watch is of one server"):
        watch_command.metrics_url_of(parsed("--url=a:1,b:1"))


@pytest.fixture
def repository(tmp_path):
    for active in (True, False):
        write_version(tmp_path / "models", active=active)
    return tmp_path / "models"


def test_a_server_that_does_not_tell_its_counts_is_not_promoted_on(repository, tmp_path):
    with pytest.raises(PromotionFailed, match=r"metrics cannot be read at http://localhost:9/m.*--metrics-url"):
        promote.run(
            parsed(
                "--watch=1m",
                f"--repository={repository}",
                f"--report={tmp_path / 'watch.html'}",
                "--metrics-url=http://localhost:9/m",
            )
        )
    assert active_version(repository, "minilm") == 1


GATEWAY = ("encserve_gateway_version_requests_total", frozenset({("model", "minilm"), ("version", "1")}))
OWN = ("nv_inference_request_success", frozenset({("model", "minilm_head"), ("version", "1")}))


def promoted(repository, tmp_path, monkeypatch, run, *, series=OWN):
    """What a promotion gives whose watch does what `run(promotion)` does, of a server that counts a `series`."""
    monkeypatch.setattr(watch_command, "read_series", lambda url, models: {series: 0.0})
    monkeypatch.setattr(settled, "PAUSE_S", 0.0)
    monkeypatch.setattr(watch_command.WatchedPromotion, "run", lambda self, **given: run(self))
    return promote.run(parsed("--watch=1m", f"--repository={repository}", f"--report={tmp_path / 'watch.html'}"))


def test_metrics_of_something_else_are_refused(repository, tmp_path, monkeypatch):
    with pytest.raises(PromotionFailed, match=r"metrics at http://localhost:8002/metrics have no counts of minilm"):
        promoted(repository, tmp_path, monkeypatch, lambda promotion: pytest.fail("promoted"), series=GATEWAY)


def test_a_pipeline_that_generates_is_refused(repository, tmp_path, monkeypatch):
    shutil.rmtree(repository / "minilm_head")
    with pytest.raises(PromotionFailed, match=r"minilm has no model minilm_head.* promote it without --watch"):
        promoted(repository, tmp_path, monkeypatch, lambda promotion: pytest.fail("promoted"))


def kept(promotion):
    promotion.watch.look()
    return Outcome(verdict=KEPT, because="it is as before")


def test_a_page_that_cannot_be_written_does_not_change_the_exit_code(repository, tmp_path, monkeypatch, capsys):
    def then_the_folder_goes(promotion):
        (tmp_path / "watch.html").mkdir()
        return kept(promotion)

    assert promoted(repository, tmp_path, monkeypatch, then_the_folder_goes) == 0
    told = capsys.readouterr()
    assert "version 2 of minilm: kept; it is as before" in told.out
    assert "watch.html cannot be written: Is a directory" in told.err


def test_a_watch_goes_on_where_nobody_reads_what_it_says(repository, tmp_path, monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    def tells(promotion):
        promotion.report("version 2 is worse")
        promotion.versions._report("loading version 1")
        return kept(promotion)

    monkeypatch.setattr(sys, "stderr", Gone())
    assert promoted(repository, tmp_path, monkeypatch, tells) == 0


@pytest.mark.parametrize("error", [PromotionFailed, Unavailable])
def test_a_promotion_that_fails_leaves_a_page_too(repository, tmp_path, monkeypatch, error):
    def fails(promotion):
        promotion.watch.look()
        raise error("version 2 is worse, and stays")

    with pytest.raises(error, match="stays"):
        promoted(repository, tmp_path, monkeypatch, fails)
    assert "version 2 is worse, and stays" in (tmp_path / "watch.html").read_text()


def test_a_repository_that_is_damaged_meanwhile_ends_the_watch(repository, tmp_path, monkeypatch):
    def damaged(promotion):
        assert promotion.stated() == (1, None)
        (repository / "minilm/config.pbtxt").write_text("no configuration")
        promotion.stated()

    with pytest.raises(PromotionFailed, match="the watch of minilm ends, and changes nothing"):
        promoted(repository, tmp_path, monkeypatch, damaged)


def test_a_watch_knows_whether_its_server_holds_the_repository(repository, tmp_path, monkeypatch):
    held = []

    def noted(promotion):
        held.append(promotion.is_held)
        return kept(promotion)

    promoted(repository, tmp_path, monkeypatch, noted)
    with marked_as_served(repository):
        promoted(repository, tmp_path, monkeypatch, noted)
    assert held == [False, True]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_goes_away_interrupts_a_watch(repository, tmp_path, monkeypatch, number):
    signal.signal(number, lambda *given: None)

    def told_to_end(promotion):
        signal.raise_signal(number)
        return kept(promotion)

    with pytest.raises(KeyboardInterrupt):
        promoted(repository, tmp_path, monkeypatch, told_to_end)


def test_a_version_that_is_not_there(repository, tmp_path):
    words = (f"--repository={repository}", f"--report={tmp_path / 'watch.html'}", "--watch=1m")
    arguments = parsed(*words)
    arguments.version = 7
    with pytest.raises(PromotionFailed, match="has no version 7 of minilm"):
        promote.run(arguments)
    arguments.name = "absent"
    with pytest.raises(PromotionFailed, match="has no pipeline 'absent'"):
        promote.run(arguments)


def state_checkpoint(repository, version, **checkpoint):
    manifest = manifest_of(repository, "minilm", version)
    stated = toy_manifest("minilm", version, manifest.files, checkpoint=checkpoint)
    path = repository / "minilm" / str(version) / "manifest.json"
    path.write_text(json.dumps(asdict(stated)))


def test_vectors_of_other_checkpoints_are_not_compared(repository):
    for version, revision in ((1, "a"), (2, "a")):
        state_checkpoint(repository, version, source="minilm", revision=revision)
    assert watch_command.excused(repository, "minilm", 1, 2) == {}
    state_checkpoint(repository, 2, source="minilm", revision="b")
    assert "point elsewhere" in watch_command.excused(repository, "minilm", 1, 2)["vectors"]
    for version, weights in ((1, "a"), (2, "b")):  # folders of the same name
        state_checkpoint(repository, version, source="best", revision=None, weights=weights)
    assert "point elsewhere" in watch_command.excused(repository, "minilm", 1, 2)["vectors"]
