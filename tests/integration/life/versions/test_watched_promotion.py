"""Versions that are promoted under load and watched: a bad one is rolled back by itself, a good one stays."""

import argparse
import random
import shutil
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from serving import copy_version, poison_word, serve_config

from encserve import Client, InferenceFailed
from encserve_server import promote
from encserve_server.administration import watch_command
from encserve_server.launcher.server import TritonServer

WORD = "zebra"
"""What a bad version gives NaN for."""
ANIMALS = ("horse", "lion", "eagle", "shark", "mouse", "whale", "snake", "tiger", "sheep", "wolf")
PAUSE_S = 0.01
"""Of a caller between two questions: evidence is a count of answers, and without pauses callers keep all cores busy."""
TENANTS = [f"tenant {number}" for number in range(20)]


@pytest.fixture(scope="module")
def server(repository, tmp_path_factory):
    """A server of version 1, in whose repository a bad version 2 and a good version 3 wait."""
    models = tmp_path_factory.mktemp("watched") / "models"
    shutil.copytree(repository, models, ignore=shutil.ignore_patterns(".*", "prompted*"))
    for version in (2, 3):
        copy_version(models, "minilm", 1, version)
    poison_word(models, "minilm", WORD, np.nan, version=2)
    with TritonServer(serve_config(models, models=("minilm",))) as running:
        yield running


@contextmanager
def tenants(server, share=0.02):
    """Callers who ask again and again, a `share` of all texts with the word: the version of each text that failed."""
    failed, done = [], threading.Event()

    def ask(seed):
        draw = random.Random(seed)
        with Client(server.grpc_url, timeout_s=300) as client:
            while not done.wait(PAUSE_S):
                text = f"{draw.choice(ANIMALS)} {WORD if draw.random() < share else draw.choice(ANIMALS)}"
                try:
                    client.embed([text], model="minilm", caller=draw.choice(TENANTS))
                except InferenceFailed as error:
                    failed.append(error.version)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield failed
    finally:
        done.set()
        for thread in threads:
            thread.join()


def watched(server, version, report, *, watch):
    parser = argparse.ArgumentParser()
    promote.add_arguments(parser)
    given = [f"--watch={watch}", "--share=50%", f"--metrics-url={server.metrics_url}", f"--report={report}"]
    where = [f"--url={server.grpc_url}", f"--repository={server.config.repository}"]
    return promote.run(parser.parse_args(["minilm", str(version), *given, *where]))


def serving(server):
    with Client(server.grpc_url) as client:
        return client.embed(["x"], model="minilm").version


@pytest.mark.parametrize("share", [0.2, pytest.param(0.02, marks=pytest.mark.slow)])
def test_a_version_that_gives_nan_for_some_texts_is_rolled_back(share, server, tmp_path, capsys):
    with tenants(server, share) as failed:
        assert watched(server, 2, tmp_path / "watch.html", watch="10m") == 1
    assert serving(server) == "1"
    assert set(failed) <= {"2"}
    told = capsys.readouterr()
    assert "version 2 of minilm: rolled back; " in told.out
    assert "version 1 answers everybody again, after" in told.err
    page = (tmp_path / "watch.html").read_text()
    assert "rolled back" in page
    assert WORD not in page


@pytest.mark.slow
def test_a_good_version_stays(server, tmp_path, capsys, monkeypatch):
    busy = {"latency": "other tests compute beside this one"}
    monkeypatch.setattr(watch_command, "excused", lambda *given: busy)
    with tenants(server) as failed:
        assert watched(server, 3, tmp_path / "watch.html", watch="15s") in (0, 3)
    assert serving(server) == "3"
    assert failed == []
    assert "version 3 of minilm: kept" in capsys.readouterr().out
