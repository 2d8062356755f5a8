"""An edit of a step's code is served, without an export and without a restart; new versions can be promoted."""

import argparse
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from serving import copy_version, serve_config

from encserve import Client, EncserveError, Retry
from encserve_server import promote, steps
from encserve_server.launcher.server import TritonServer

DOOR = "if is_closing():"
REFUSAL = "the server is closing and lets no new request in"
"""Of the tokenize step, at which every request comes by."""


def asked_until(client, expected):
    """Ask until the answer, or the error, is as expected; Triton swaps the step within a second or so."""
    for _ in range(600):
        try:
            told = client.embed(["a text"], model="minilm").version
        except EncserveError as error:
            told = str(error)
        if expected in told:
            return
        time.sleep(0.1)
    pytest.fail(f"still {told}")


@pytest.fixture(scope="module")
def live(repository, tmp_path_factory):
    """A server that runs the code of a folder, which is in `config.live_code`; what it reports is in `reported`."""
    folder, reported = tmp_path_factory.mktemp("live"), []
    shutil.copytree(repository, folder / "models", ignore=shutil.ignore_patterns(".*", "prompted*"))
    source = folder / "steps"
    shutil.copytree(Path(steps.__file__).parent, source, ignore=shutil.ignore_patterns("__pycache__"))
    with TritonServer(serve_config(folder / "models", live_code=source), report=reported.append) as server:
        server.reported = reported
        yield server


def times_served(live):
    """How often the server has said that it serves what was edited."""
    return sum(line.startswith("the edited code of") and line.endswith("is served") for line in live.reported)


def test_an_edit_is_served_and_so_is_its_correction(live):
    step = live.config.live_code / "tokenize" / "step.py"
    code = step.read_text()
    assert DOOR in code
    assert REFUSAL in code
    with Client(live.grpc_url, retry=Retry(attempts=1)) as client:
        version = client.embed(["a text"], model="minilm").version
        step.write_text(code.replace(DOOR, "if True:").replace(REFUSAL, "this was edited"))
        asked_until(client, "this was edited")
        step.write_text("this is no Python")
        asked_until(client, "this was edited")  # what does not load leaves what is served
        before = times_served(live)
        step.write_text(code)
        asked_until(client, version)
    deadline_s = time.monotonic() + 60
    while times_served(live) == before:  # or the next test would take that for its own edit
        assert time.monotonic() < deadline_s, live.reported
        time.sleep(0.05)


def test_a_version_that_is_exported_meanwhile_is_promoted(live):
    models = live.config.repository
    with Client(live.grpc_url, retry=Retry(attempts=1)) as client:
        copy_version(models, "minilm", 1, 2)
        links = [live.folder / f"live_repository/minilm_{step}/2/model.py" for step in ("tokenize", "encode", "head")]
        deadline_s = time.monotonic() + 60
        while not all(link.exists() for link in links):
            assert time.monotonic() < deadline_s, "version 2 has not been seen"
            time.sleep(0.05)
        parser = argparse.ArgumentParser()
        promote.add_arguments(parser)
        promote.run(parser.parse_args(["minilm", "2", f"--url={live.grpc_url}", f"--repository={models}"]))
        assert client.embed(["a text"], model="minilm").version == "2"


def test_requests_that_wait_are_answered_although_the_step_is_loaded_again(live):
    """Triton ends the process in which they wait, and does not wait for them."""
    with (
        ThreadPoolExecutor(60) as threads,
        Client(live.grpc_url, retry=Retry(attempts=1), timeout_s=300, concurrency=60) as client,
    ):
        texts = ["some words that are to be read " * 24] * 8
        asked = [threads.submit(client.embed, texts, model="minilm") for _ in range(60)]
        while not any(each.done() for each in asked):
            time.sleep(0.05)
        before = times_served(live)
        with (live.config.live_code / "tokenize" / "limits.py").open("a") as file:
            file.write("\n")
        while times_served(live) == before:
            assert not all(each.done() for each in asked), "nobody waited any more when the step was loaded again"
            time.sleep(0.05)
        assert {len(each.result().vectors) for each in asked} == {8}
