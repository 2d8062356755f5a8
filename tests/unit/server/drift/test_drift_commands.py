"""`encserve drift`: from counters to a verdict."""

import argparse
import hashlib
from dataclasses import replace

import numpy as np
import pytest
from frozen_baselines import PIPELINE, TEXTS, client, frozen, vector_of
from toy_manifest import toy_manifest
from toy_versions import write_version

from encserve import EncserveError, InvalidInput
from encserve_lifecycle.watch import settled
from encserve_repository.layout import MANIFEST_FILE
from encserve_repository.versions import manifest_of
from encserve_server import drift
from encserve_server.administration import drift_command
from encserve_server.steps.head.projection import DIRECTIONS, projected


class Counters:
    """A server that counts what it is asked, each text by itself, and the time that passes while it is."""

    def __init__(self):
        self.now_s = 0.0
        self.asked, self.sums = 0, np.zeros((DIRECTIONS, 2))
        self.to_come = []
        self.fails_at_s = ()

    def read(self, url, models):
        if self.now_s in self.fails_at_s:
            raise OSError("refused")
        labels = {("model", "minilm_head"), ("version", "1")}
        sums = {
            ("encserve_projection_sum", frozenset({*labels, ("direction", str(number)), ("side", side)})): own[place]
            for number, own in enumerate(self.sums)
            for place, side in enumerate(("above", "below"))
        }
        counts = ("encserve_summed_vectors", "encserve_summed_vectors_squared")
        return {**sums, **{(name, frozenset(labels)): float(self.asked) for name in counts}}

    def sleep(self, seconds):
        self.now_s += seconds
        texts, self.to_come = self.to_come[:200], self.to_come[200:]
        if texts:
            along = projected(np.array([vector_of(text) for text in texts]))
            self.sums += np.stack([np.maximum(along, 0).sum(axis=0), np.maximum(-along, 0).sum(axis=0)], axis=1)
            self.asked += len(texts)


@pytest.fixture
def counters(monkeypatch):
    made = Counters()
    monkeypatch.setattr(drift_command, "read_series", made.read)
    monkeypatch.setattr(settled, "PAUSE_S", 0.0)
    clocked = {"clock": lambda: made.now_s, "sleep": made.sleep}
    watched = drift_command.watched
    monkeypatch.setattr(drift_command, "watched", lambda *given: watched(*given, **clocked))
    return made


def judged(*words):
    parser = argparse.ArgumentParser()
    drift.add_arguments(parser)
    return drift.run(parser.parse_args(["minilm", *map(str, words)]))


@pytest.mark.parametrize(
    ("kind", "code", "says"),
    [("text of an hour", 0, "the same: the mean of 600 texts"), ("other text", 4, "drift: the mean of 600 texts")],
)
def test_texts_of_another_kind_are_told(tmp_path, counters, capsys, kind, code, says):
    counters.to_come = [f"{kind} {number}" for number in range(600)]
    assert judged("--baseline", frozen(tmp_path, TEXTS)) == code
    assert says in capsys.readouterr().out
    assert counters.now_s == 3600.0


def test_few_texts_say_nothing(tmp_path, counters, capsys):
    counters.to_come = [f"other text {number}" for number in range(99)]
    assert judged("--baseline", frozen(tmp_path, TEXTS)) == 3
    assert "too few: 99 texts, which count as 99 by themselves; 100 are the least" in capsys.readouterr().out


def test_one_window_of_several_is_enough(tmp_path, counters, capsys):
    kinds = ["text of an hour"] * 400 + ["other text"] * 400
    counters.to_come = [f"{kind} {number}" for number, kind in enumerate(kinds)]
    assert judged("--baseline", frozen(tmp_path, TEXTS), "--window=1m", "--windows=3") == 4
    states = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert states[-3:] == ["the same", "drift", "too few"]


def test_a_look_that_cannot_be_had_is_left_out_unless_it_is_the_last(tmp_path, counters):
    counters.to_come = [f"text of an hour {number}" for number in range(600)]
    counters.fails_at_s = (30.0, 60.0)
    made = frozen(tmp_path, TEXTS)
    assert judged("--baseline", made) == 0
    counters.fails_at_s = (7200.0,)
    with pytest.raises(EncserveError, match=r"metrics cannot be read at http://localhost:8002/metrics: refused"):
        judged("--baseline", made)


def test_a_step_that_is_telling_its_sums_is_looked_at_again(tmp_path, counters, monkeypatch):
    """Between the two pages of the first look the step tells what it has summed."""
    made, pages = frozen(tmp_path, TEXTS), []

    def told_meanwhile(url, models):
        pages.append(url)
        if len(pages) == 2:
            counters.sums = counters.sums + 1
        return counters.read(url, models)

    monkeypatch.setattr(drift_command, "read_series", told_meanwhile)
    counters.to_come = [f"text of an hour {number}" for number in range(600)]
    assert judged("--baseline", made) == 0


def test_counters_that_change_all_the_time_do_no_harm(tmp_path, counters, monkeypatch):
    made, pages = frozen(tmp_path, TEXTS), []

    def beside_others(url, models):
        pages.append(url)
        other = ("encserve_first_labels", frozenset({("model", "minilm_head"), ("version", "1")}))
        return {**counters.read(url, models), other: float(len(pages))}

    monkeypatch.setattr(drift_command, "read_series", beside_others)
    counters.to_come = [f"text of an hour {number}" for number in range(600)]
    assert judged("--baseline", made) == 0


def test_a_server_without_the_sums_is_told(tmp_path, counters):
    counters.sums = counters.sums[:3]
    with pytest.raises(EncserveError, match="no sums of the vectors of version 1 of minilm"):
        judged("--baseline", frozen(tmp_path, TEXTS))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--window=1"], "--window is '1'; a positive number with a unit"),
        (["--window=59s"], "--window is '59s'; 60s are the least"),
        (["--windows=0"], "--windows is 0"),
        (["--windows=2", "--prometheus=http://x"], "--windows is 2; 1 or more is expected, and 1 with --prometheus"),
        (["--prometheus=http://x", "--metrics-url=http://y"], "contradict each other"),
        (["--url=a:1,b:1"], "--metrics-url says whose counts are read"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path, counters, words, message):
    with pytest.raises(InvalidInput, match=message):
        judged("--baseline", frozen(tmp_path, TEXTS), *words)


def test_a_baseline_of_another_version_is_refused(tmp_path, counters, monkeypatch):
    made = frozen(tmp_path, TEXTS)
    other = replace(PIPELINE, certificate="d" * 64)
    monkeypatch.setattr(drift_command, "open_client", lambda arguments: client(pipeline=other))
    with pytest.raises(InvalidInput, match="the baseline is of version 1 of minilm, and another one answers"):
        judged("--baseline", made)


def test_a_baseline_of_another_pipeline_is_refused(tmp_path, counters):
    made = frozen(tmp_path, TEXTS)
    made.write_text(made.read_text().replace('"minilm"', '"e5"'))
    with pytest.raises(InvalidInput, match="the baseline is of 'e5', and not of 'minilm'"):
        judged("--baseline", made)


def test_no_baseline_is_told(tmp_path, counters):
    with pytest.raises(EncserveError, match=r"missing\.json cannot be read: No such file"):
        judged("--baseline", tmp_path / "missing.json")
    with pytest.raises(EncserveError, match="has no pipeline 'minilm' that is served"):
        judged("--repository", tmp_path)


@pytest.fixture
def repository(tmp_path):
    """One whose version 1 has a baseline."""
    models = tmp_path / "models"
    write_version(models, active=True)
    own = models / "minilm" / "1" / "baseline.json"
    frozen(tmp_path, TEXTS).rename(own)
    files = {"minilm/1/baseline.json": hashlib.sha256(own.read_bytes()).hexdigest()}
    (own.parent / MANIFEST_FILE).write_text(toy_manifest("minilm", 1, files).to_json())
    return models


def test_the_baseline_of_the_export_is_taken_where_none_is_given(repository, counters, monkeypatch, capsys):
    manifest = repository / "minilm" / "1" / MANIFEST_FILE
    certified = replace(PIPELINE, certificate=hashlib.sha256(manifest.read_bytes()).hexdigest())
    monkeypatch.setattr(drift_command, "open_client", lambda arguments: client(pipeline=certified))
    counters.to_come = [f"text of an hour {number}" for number in range(600)]
    assert judged("--repository", repository) == 0
    assert "the same" in capsys.readouterr().out


def test_a_baseline_that_is_not_the_certified_one_is_refused(repository, counters):
    file = repository / "minilm" / "1" / "baseline.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(EncserveError, match="is not the certified file"):
        judged("--repository", repository)


def test_a_version_without_a_baseline_is_told(repository, counters):
    manifest = manifest_of(repository, "minilm", 1)
    (repository / "minilm" / "1" / MANIFEST_FILE).write_text(replace(manifest, files={}).to_json())
    with pytest.raises(EncserveError, match="version 1 of minilm has no baseline"):
        judged("--repository", repository)
