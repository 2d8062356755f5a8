"""What a job refuses before anything is asked, and leaves as it is: files, ids, columns, folders, other jobs."""

import argparse
import json
from dataclasses import replace

import pytest

from encserve import InvalidInput
from encserve_bulk import command
from encserve_bulk.job import run_job
from encserve_bulk.source import Columns, Source

from .fake_server import Server
from .parquet_jobs import job_of


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


def test_a_job_has_one_adapter(tmp_path):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    given = ["embed", "in.jsonl", str(tmp_path), "--model", "m", "--adapter", "legal"]
    assert command._job(parser.parse_args(given)).options["adapter"] == "legal"
    with pytest.raises(InvalidInput, match="--adapter was given 2 times, a job has one"):
        command._job(parser.parse_args([*given, "--adapter", "medical"]))
