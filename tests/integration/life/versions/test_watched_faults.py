"""Versions that are bad in other ways, promoted under load on a real server and rolled back.

Slow: each is an export, or waits for the evidence; the same judgement has simulated ones in tests/unit/lifecycle/watch.
"""

import argparse
import random
import shutil
import threading
import time
from contextlib import contextmanager, suppress

import pytest
import transformers
from export.small_checkpoints import make_checkpoint
from serving import certify_again, change_weights, copy_version, export, serve_config

from encserve import Client, EncserveError
from encserve_repository.activation import active_candidate
from encserve_repository.versions import active_version
from encserve_server import promote
from encserve_server.administration import watched_promotion
from encserve_server.launcher.server import TritonServer

pytestmark = pytest.mark.slow

LABELS = {"id2label": {0: "calm", 1: "keen"}, "label2id": {"calm": 0, "keen": 1}}
WORDS = ("horse", "lion", "eagle", "shark", "mouse", "whale", "runs", "sleeps", "eats", "on", "the", "old", "red")


@contextmanager
def callers(server, ask):
    """Four callers who `ask(client, text, caller=)` without a pause, as long as the block lasts."""
    done = threading.Event()

    def go_on(seed):
        draw = random.Random(seed)
        with Client(server.grpc_url, timeout_s=300) as client:
            while not done.is_set():
                ask(client, " ".join(draw.choices(WORDS, k=4)), caller=f"tenant {draw.randrange(20)}")

    threads = [threading.Thread(target=go_on, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def rolled_back_for(server, name, report, capsys, *, version=2, before=1):
    """Promote a version and wait until it is rolled back. Returns what for."""
    parser = argparse.ArgumentParser()
    promote.add_arguments(parser)
    given = ["--watch=10m", "--share=50%", f"--metrics-url={server.metrics_url}", f"--report={report}"]
    where = [f"--url={server.grpc_url}", f"--repository={server.config.repository}"]
    assert promote.run(parser.parse_args([name, str(version), *given, *where])) == 1
    told = capsys.readouterr().out
    assert f"version {version} of {name}: rolled back; " in told
    with Client(server.grpc_url) as client:
        assert client.pipeline(name).version == str(before)
    print(told)
    return told


def embed(client, text, caller):
    client.embed([text], model="minilm", caller=caller)


def test_answers_that_take_longer(repository, tmp_path, capsys):
    models = tmp_path / "models"
    shutil.copytree(repository, models, ignore=shutil.ignore_patterns(".*", "prompted*"))
    copy_version(models, "minilm", 1, 2)
    step = models / "minilm_head/2/head/step.py"
    slow = step.read_text().replace(
        "        calls = [Call(request", "        __import__('time').sleep(0.05)\n        calls = [Call(request"
    )
    assert slow != step.read_text()
    step.write_text(slow)
    certify_again(models, "minilm", 2, step)
    with TritonServer(serve_config(models, models=("minilm",))) as server, callers(server, embed):
        assert "answers after " in rolled_back_for(server, "minilm", tmp_path / "watch.html", capsys)


def test_vectors_that_are_pooled_in_another_way(tmp_path, capsys):
    checkpoint, models = tmp_path / "minilm", tmp_path / "models"
    for of_first_token in (True, False):  # the second is the one that serves
        pooling = {"pooling_mode_cls_token": of_first_token, "pooling_mode_mean_tokens": not of_first_token}
        modules = [("Transformer", "", {}), ("Pooling", "1_Pooling", pooling)]
        shutil.rmtree(checkpoint, ignore_errors=True)
        export(make_checkpoint(checkpoint, modules=modules), "minilm", models)
    with TritonServer(serve_config(models)) as server, callers(server, embed):
        told = rolled_back_for(server, "minilm", tmp_path / "watch.html", capsys, version=1, before=2)
    assert "vectors positive along " in told


def test_labels_that_are_others(tmp_path, capsys):
    models = tmp_path / "models"
    network = transformers.AutoModelForSequenceClassification
    export(make_checkpoint(tmp_path / "topics", network=network, **LABELS), "topics", models)
    copy_version(models, "topics", 1, 2)

    def exchange(tensor, values):
        """Each label has the score of the other."""
        return -values if 2 in values.shape else None

    change_weights(models, "topics", 2, exchange)

    def classify(client, text, caller):
        client.classify([text], model="topics", caller=caller)

    with TritonServer(serve_config(models)) as server, callers(server, classify):
        told = rolled_back_for(server, "topics", tmp_path / "watch.html", capsys)
    assert "texts labelled " in told or "first scores above " in told


def test_a_version_under_which_the_server_dies_twice(tmp_path, capsys):
    models = tmp_path / "models"
    export(make_checkpoint(tmp_path / "tiny"), "minilm", models)
    copy_version(models, "minilm", 1, 2)
    config, servers = serve_config(models), []

    def embed_if_it_can(client, text, caller):
        with suppress(EncserveError):
            embed(client, text, caller)

    def die_twice():
        for _ in range(2):
            until(lambda: stated_candidate(models))  # and some time after it
            time.sleep(15)
            servers[-1].stop(at_once=True)
            servers.append(TritonServer(config).__enter__())

    servers.append(TritonServer(config).__enter__())
    dying = threading.Thread(target=die_twice)
    try:
        with callers(servers[0], embed_if_it_can):
            dying.start()
            told = rolled_back_for(servers[0], "minilm", tmp_path / "watch.html", capsys)
            dying.join()
    finally:
        dying.join()
        servers[-1].stop()
    assert "it died twice since version 2 answers callers" in told


@pytest.mark.parametrize("phase", ["canary", "all"])
def test_a_version_under_which_the_server_goes_for_good(phase, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(watched_promotion, "GRACE_S", 10.0)
    models = tmp_path / "models"
    export(make_checkpoint(tmp_path / "tiny"), "minilm", models)
    copy_version(models, "minilm", 1, 2)
    config = serve_config(models)
    server = TritonServer(config)
    server.__enter__()

    def go():
        until(
            lambda: active_candidate(models, "minilm") if phase == "canary" else active_version(models, "minilm") == 2
        )
        time.sleep(5)
        server.stop(at_once=True)

    going = threading.Thread(target=go)
    going.start()
    parser = argparse.ArgumentParser()
    promote.add_arguments(parser)
    given = [f"--watch={'10m' if phase == 'canary' else '1m'}", f"--report={tmp_path / 'watch.html'}"]
    where = [f"--url={server.grpc_url}", f"--metrics-url={server.metrics_url}", f"--repository={models}"]
    try:
        assert promote.run(parser.parse_args(["minilm", "2", *given, *where])) == 1
    finally:
        going.join()
    assert "no server answers, and its next start serves version 1" in capsys.readouterr().out
    assert (active_version(models, "minilm"), active_candidate(models, "minilm")) == (1, None)
    with TritonServer(config) as again, Client(again.grpc_url) as client:
        assert client.embed(["a"], model="minilm").version == "1"


def stated_candidate(models):
    return active_candidate(models, "minilm") or active_version(models, "minilm") == 2


def until(condition):
    deadline_s = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.5)
