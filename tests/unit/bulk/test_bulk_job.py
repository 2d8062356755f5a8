"""A job: one row for each id, errors as rows, repeated texts once, and going on after a kill."""

import argparse
import json
import os
import random
import signal
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from encserve import Client, ContractError, InferenceFailed, InvalidInput, TransportError
from encserve.testing import FakeTransport
from encserve_bulk import command
from encserve_bulk.job import Job, run_job
from encserve_bulk.output import JOB_FILE
from encserve_bulk.source import Columns, Source

from .fake_server import NONFINITE, REFUSED, Server, vector_of

KILLS = 50


def job_of(folder, rows, **changes):
    """A job about (id, text) rows, in windows of ten."""
    source = folder / "in.parquet"
    pq.write_table(
        pa.table({"id": [row[0] for row in rows], "text": [row[1] for row in rows]}), source, row_group_size=7
    )
    settings = {"verb": "embed", "model": "fake", "output": folder / "out", "options": {}, "window_rows": 10}
    return Job(source=Source(path=source, columns=Columns(id="id", text="text")), **settings | changes)


def rows_in(folder):
    return [row for part in sorted(folder.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]


def test_every_row_has_its_answer_in_the_order_of_the_file(tmp_path):
    rows = [(index, f"{'long ' * (index % 5)}text {index}") for index in range(34)]
    server = Server()
    with server.client() as client:
        done = run_job(job_of(tmp_path, rows), client, resume=False)
    written = rows_in(tmp_path / "out")
    assert [row["id"] for row in written] == list(range(34))
    for row, (_, text) in zip(written, rows, strict=True):
        assert np.array_equal(np.float32(row["vector"]), vector_of(text))
        assert (row["token_count"], row["dropped_count"], row["error"]) == (len(text.split()), 0, None)
    assert (done.rows, done.before, done.errors) == (34, 0, 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        JOB_FILE,
        *(f"part-{index:06}.parquet" for index in range(4)),
    ]


def test_texts_go_by_length_and_a_repeated_one_once(tmp_path):
    rows = [(0, "a longer text"), (1, "b"), (2, "a longer text"), (3, "cc")]
    server = Server()
    with server.client() as client:
        run_job(job_of(tmp_path, rows), client, resume=False)
    assert server.texts[1:] == ["b", "cc", "a longer text"]  # after the question that names the version
    first, _, third, _ = rows_in(tmp_path / "out")
    assert first["vector"] == third["vector"]


def test_a_text_that_cannot_be_answered_is_a_row_with_its_error_and_harms_no_other(tmp_path):
    rows = [(0, "good"), (1, REFUSED), (2, None), (3, NONFINITE), (4, "x" * 40), (5, "fine")]
    server = Server(max_bytes_per_text=30)
    with server.client() as client:
        done = run_job(job_of(tmp_path, rows), client, resume=False)
    written = {row["id"]: row for row in rows_in(tmp_path / "out")}
    assert done.errors == 4
    assert "4 with an error" in str(done)
    assert "is refused" in written[1]["error"]
    assert written[2]["error"] == "the text is missing, or no string"
    assert "NaN" in written[3]["error"]
    assert written[4]["error"] == "the text has 40 bytes in UTF-8, the limit is 30"
    assert all(written[index]["vector"] is None for index in (1, 2, 3, 4))
    assert np.array_equal(np.float32(written[5]["vector"]), vector_of("fine"))


def test_parts_say_what_made_them(tmp_path):
    with Server(certificate="c" * 64).client() as client:
        run_job(job_of(tmp_path, [(0, "a")], options={"normalize": True}), client, resume=False)
    (part,) = (tmp_path / "out").glob("part-*")
    said = json.loads(pq.read_schema(part).metadata[b"encserve"])
    assert (said["model"], said["version"], said["certificate"]) == ("fake", "1", "c" * 64)
    assert said["options"] == {"normalize": True}


def test_json_lines_in_and_out(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"key": "a", "body": "one"}\n\n{"key": 7, "body": 5}\n', encoding="utf-8")
    job = Job(
        verb="embed",
        model="fake",
        source=Source(path=source, columns=Columns(id="key", text="body")),
        output=tmp_path / "out",
        options={},
        window_rows=10,
        format="jsonl",
    )
    with Server().client() as client:
        run_job(job, client, resume=False)
    (part,) = (tmp_path / "out").glob("part-*.jsonl")
    first, second = map(json.loads, part.read_text(encoding="utf-8").splitlines())
    assert first["vector"] == pytest.approx(vector_of("one").tolist())
    assert (second["key"], second["error"]) == ("7", "the text is missing, or no string")


def test_documents_are_scored_for_their_queries(tmp_path):
    table = {"id": [0, 1, 2, 3], "text": ["a", "b", "c", "d"], "query": ["x", "y", "x", None]}
    pq.write_table(pa.table(table), tmp_path / "in.parquet")
    columns = Columns(id="id", text="text", query="query")
    job = replace(
        job_of(tmp_path, [(0, "a")]), verb="rerank", source=Source(path=tmp_path / "pairs.parquet", columns=columns)
    )
    pq.write_table(pa.table(table), tmp_path / "pairs.parquet")
    with Server(task="text-ranking", pairs=True).client() as client:
        run_job(job, client, resume=False)
    written = rows_in(tmp_path / "out")
    assert [row["score"] for row in written[:3]] == [vector_of(text)[0] for text in "abc"]
    assert written[3]["error"] == "the query is missing, or no string"


@pytest.mark.parametrize(
    ("rows", "changes", "says"),
    [
        ([(1, "a"), (2, "b"), (1, "c")], {}, "the id 1 stands at two rows"),
        ([(1, "a"), (None, "b")], {}, "row 2 has no 'id'"),
        ([], {}, "has no rows"),
    ],
)
def test_a_wrong_file_is_refused_before_anything_is_asked(tmp_path, rows, changes, says):
    server = Server()
    with server.client() as client, pytest.raises(InvalidInput, match=says):
        run_job(job_of(tmp_path, rows, **changes), client, resume=False)
    assert server.texts == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["vector", "error", "token_count"])
def test_an_id_column_whose_name_an_answer_has_is_refused(tmp_path, name):
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({name: "a", "text": "b"}))
    job = replace(job_of(tmp_path, [(0, "a")]), source=Source(path=path, columns=Columns(id=name, text="text")))
    with Server().client() as client, pytest.raises(InvalidInput, match=f"--id is '{name}'"):
        run_job(job, client, resume=False)
    assert not job.output.exists()


@pytest.mark.parametrize("ids", [[[1]], [{"a": 1}]])
def test_ids_that_are_lists_or_objects_are_refused(tmp_path, ids):
    job = job_of(tmp_path, [(each, "a") for each in ids])
    with Server().client() as client, pytest.raises(InvalidInput, match="'id' is of the type"):
        run_job(job, client, resume=False)


def test_an_id_that_is_no_unicode_is_refused_by_its_line(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"id": "a", "text": "a"}\n{"id": "\\ud800", "text": "b"}\n')
    job = replace(job_of(tmp_path, [(0, "a")]), source=Source(path=path, columns=Columns(id="id", text="text")))
    with Server().client() as client, pytest.raises(InvalidInput, match="line 2"):
        run_job(job, client, resume=False)


def test_ids_that_json_has_no_words_for_are_written_as_text(tmp_path):
    at = datetime(2026, 11, 30, tzinfo=UTC)
    job = job_of(tmp_path, [(at, "a")], format="jsonl")
    with Server().client() as client:
        run_job(job, client, resume=False)
    (line,) = (job.output / "part-000000.jsonl").read_text().splitlines()
    assert json.loads(line)["id"] == str(at)


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


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path):
    job = job_of(tmp_path, [(0, "a")])
    other = replace(job, source=Source(path=job.source.path, columns=Columns(id="id", text="body")))
    with Server().client() as client, pytest.raises(InvalidInput, match="no column 'body', only id, text"):
        run_job(other, client, resume=False)


def test_a_pipeline_of_another_task_is_refused(tmp_path):
    with Server(task="fill-mask").client() as client, pytest.raises(InvalidInput, match="does fill-mask"):
        run_job(job_of(tmp_path, [(0, "a")]), client, resume=False)


def test_a_folder_with_something_in_it_is_not_touched(tmp_path):
    job = job_of(tmp_path, [(0, "a")])
    job.output.mkdir()
    (job.output / "notes.txt").write_text("mine")
    with Server().client() as client:
        with pytest.raises(InvalidInput, match="files of others"):
            run_job(job, client, resume=False)
        with pytest.raises(InvalidInput, match="no job to go on with"):
            run_job(job, client, resume=True)
    assert [path.name for path in job.output.iterdir()] == ["notes.txt"]


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


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_the_texts_themselves_may_be_the_ids(tmp_path, suffix):
    path = (tmp_path / "texts").with_suffix(suffix)
    if suffix == ".parquet":
        pq.write_table(pa.table({"text": ["a", "b"]}), path)
    else:
        path.write_text('{"text": "a"}\n{"text": "b"}\n')
    job = replace(job_of(tmp_path, [(0, "a")]), source=Source(path=path, columns=Columns(id="text", text="text")))
    with Server().client() as client:
        run_job(job, client, resume=False)
    assert [row["text"] for row in rows_in(job.output)] == ["a", "b"]


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


@pytest.mark.parametrize(("options", "wanted"), [({}, False), ({"probabilities": True}, True)])
def test_probabilities_are_a_column_where_they_are_asked_for(tmp_path, options, wanted):
    pipeline = {"task": "text-classification", "labels": ("a", "b"), "dimensions": 2}

    class Classifier(Server):
        def __call__(self, request):
            counts = np.ones((1, len(request.inputs["text"])), np.int32)
            columns = [0.75, 0.25, 0.5, 0.5][: 4 if wanted else 2]
            labels = np.array([[[b"a", b"b"]] * counts.size], object)
            scores = np.array([[columns] * counts.size], np.float32)
            return {"token_count": counts, "dropped_count": 0 * counts, "label": labels, "score": scores}

    with Classifier(**pipeline).client() as client:
        run_job(job_of(tmp_path, [(1, "a text")], verb="classify", options=options), client, resume=False)
    (row,) = rows_in(tmp_path / "out")
    assert row["scores"] == [0.75, 0.25]
    assert row.get("probabilities") == ([0.5, 0.5] if wanted else None)
    assert ("probabilities" in row) is wanted


def test_a_job_has_one_adapter(tmp_path):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    given = ["embed", "in.jsonl", str(tmp_path), "--model", "m", "--adapter", "legal"]
    assert command._job(parser.parse_args(given)).options["adapter"] == "legal"
    with pytest.raises(InvalidInput, match="--adapter was given 2 times, a job has one"):
        command._job(parser.parse_args([*given, "--adapter", "medical"]))
