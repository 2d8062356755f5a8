"""A job that ends too early and goes on: after a kill, a server that went, beside another run; never as another."""

import os
import random
import signal
import threading
import time
from dataclasses import replace

import pytest

from encserve import Client, ContractError, InferenceFailed, InvalidInput, TransportError
from encserve.testing import FakeTransport
from encserve_bulk.job import run_job
from encserve_bulk.output import JOB_FILE

from .fake_server import REFUSED, Server
from .parquet_jobs import job_of, rows_in

KILLS = 50


def test_two_runs_of_a_job_at_once_are_refused(tmp_path):
    job = job_of(tmp_path, [(index, "a") for index in range(20)])
    server, refused = Server(), []

    def answer(request):
        if server.texts and not refused:
            with server.client() as other, pytest.raises(InvalidInput) as error:
                run_job(job, other, resume=True)
            refused.append(str(error.value))
        return server(request)

    with Client(transport=FakeTransport(answer, pipelines=[server.pipeline])) as client:
        run_job(job, client, resume=False)
    assert "another run of this job" in refused[0]
    assert len(rows_in(job.output)) == 20


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_job_file_is_named(tmp_path, content):
    job = job_of(tmp_path, [(0, "a")])
    with Server().client() as client:
        run_job(job, client, resume=False)
        (job.output / JOB_FILE).write_text(content)
        with pytest.raises(InvalidInput, match=f"{JOB_FILE} is damaged"):
            run_job(job, client, resume=True)


def test_a_copy_of_a_part_is_not_taken_for_one(tmp_path):
    job = job_of(tmp_path, [(0, "a")])
    with Server().client() as client:
        run_job(job, client, resume=False)
        (job.output / "part-000000 (copy).parquet").write_bytes(b"")
        assert run_job(job, client, resume=True).before == 1


@pytest.mark.parametrize("resume", [False, True])
def test_a_kill_before_the_job_was_written_leaves_nothing_in_the_way(tmp_path, resume):
    job = job_of(tmp_path, [(0, "a")])
    job.output.mkdir()
    (job.output / f".{JOB_FILE}.pending").write_text("{")
    with Server().client() as client:
        run_job(job, client, resume=resume)
    assert len(rows_in(job.output)) == 1
    assert not list(job.output.glob(".*"))


def test_a_server_that_fails_at_everything_ends_the_job_and_fills_no_file_with_errors(tmp_path):
    server = Server()

    def answer(request):
        if len(server.texts) > 20:
            server.texts.append("")
            raise InferenceFailed("the step is broken")
        return server(request)

    job = job_of(tmp_path, [(index, f"text {index}") for index in range(60)])
    transport = FakeTransport(answer, pipelines=[server.pipeline])
    with Client(transport=transport) as client, pytest.raises(InferenceFailed, match="the step is broken"):
        run_job(job, client, resume=False)
    assert all(row["error"] is None for row in rows_in(job.output))


def test_a_job_that_ends_does_not_wait_for_calls_that_hang(tmp_path):
    server, release, failed = Server(), threading.Event(), []

    def answer(request):
        texts = request.inputs["text"]
        if texts != [b"a"]:  # not the first question
            if b"text 0" not in texts:
                release.wait(60)
            raise TransportError("gone")
        return server(request)

    def run():
        with Client(transport=FakeTransport(answer, pipelines=[server.pipeline])) as client:
            try:
                run_job(job, client, resume=False)
            except TransportError as error:
                failed.append((error, release.is_set()))
                release.set()

    job = job_of(tmp_path, [(index, f"text {index}") for index in range(60)], window_rows=30)
    running = threading.Thread(target=run)
    running.start()
    running.join(5)
    release.set()
    running.join()
    assert [waited for _, waited in failed] == [False]


def test_another_job_is_not_gone_on_with(tmp_path):
    job = job_of(tmp_path, [(0, "a")])
    with Server().client() as client:
        run_job(job, client, resume=False)
        with pytest.raises(InvalidInput, match="--resume goes on with"):
            run_job(job, client, resume=False)
        with pytest.raises(InvalidInput, match="begun with options"):
            run_job(replace(job, options={"normalize": True}), client, resume=True)
    with Server(version="2").client() as client, pytest.raises(InvalidInput, match="begun with version '1', now '2'"):
        run_job(job, client, resume=True)


def test_another_version_in_the_middle_ends_the_job(tmp_path):
    server = Server()
    with server.client() as client:
        run_job(job_of(tmp_path, [(0, "a")]), client, resume=False)
    job = replace(job_of(tmp_path, [(index, f"text {index}") for index in range(40)]), output=tmp_path / "other")

    def answer(request):
        answers = server(request)
        if len(server.texts) > 20:
            transport._served["fake"] = replace(server.pipeline, version="2")
        return answers

    transport = FakeTransport(answer, pipelines=[server.pipeline])
    with Client(transport=transport) as client, pytest.raises(ContractError, match="begin anew in another folder"):
        run_job(job, client, resume=False)


def test_a_server_that_goes_away_ends_the_job_and_it_goes_on_later(tmp_path):
    job = job_of(tmp_path, [(index, f"text {index}") for index in range(60)])
    server = Server()

    def answer(request):
        if len(server.texts) > 30:
            raise TransportError("gone")
        return server(request)

    with (
        Client(transport=FakeTransport(answer, pipelines=[server.pipeline])) as client,
        pytest.raises(TransportError, match="gone"),
    ):
        run_job(job, client, resume=False)
    before = len(rows_in(job.output))
    assert 0 < before < 60
    with server.client() as client:
        done = run_job(job, client, resume=True)
    assert done.before == before
    assert [row["id"] for row in rows_in(job.output)] == list(range(60))


def test_fifty_kills_leave_the_same_rows(tmp_path):
    rows = [(index, REFUSED if index % 17 == 0 else f"text {index % 150}") for index in range(400)]
    job = job_of(tmp_path, rows)
    with Server().client() as client:
        run_job(replace(job, output=tmp_path / "undisturbed"), client, resume=False)
    draws, kills = random.Random(0), 0
    while kills < KILLS:
        pid = os.fork()
        if pid == 0:
            try:
                run_slowly(job)
            finally:
                os._exit(1)
        time.sleep(draws.uniform(0.0, 0.12))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        kills += 1
        if len(list(job.output.glob("part-*"))) == 40:  # begin again: what is done cannot be disturbed
            for path in job.output.iterdir():
                path.unlink()
    with Server().client() as client:
        run_job(job, client, resume=(job.output / JOB_FILE).exists())
    assert rows_in(job.output) == rows_in(tmp_path / "undisturbed")
    assert not list(job.output.glob(".*"))


def run_slowly(job):
    """The job at a server that takes a few milliseconds for each request."""
    server = Server()

    def answer(request):
        time.sleep(0.003)
        return server(request)

    with Client(transport=FakeTransport(answer, pipelines=[server.pipeline])) as client:
        run_job(job, client, resume=(job.output / JOB_FILE).exists())
