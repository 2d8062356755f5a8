"""A job: one row for each id, errors as rows, repeated texts once."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from encserve_bulk.job import Job, run_job
from encserve_bulk.output import JOB_FILE
from encserve_bulk.source import Columns, Source

from .fake_server import NONFINITE, REFUSED, Server, vector_of
from .parquet_jobs import job_of, rows_in


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


def test_ids_that_json_has_no_words_for_are_written_as_text(tmp_path):
    at = datetime(2026, 11, 30, tzinfo=UTC)
    job = job_of(tmp_path, [(at, "a")], format="jsonl")
    with Server().client() as client:
        run_job(job, client, resume=False)
    (line,) = (job.output / "part-000000.jsonl").read_text().splitlines()
    assert json.loads(line)["id"] == str(at)


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
