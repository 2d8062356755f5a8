"""Jobs in Ray Data that are killed and go on: through the real server, and in a worker without one."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from process_family import exists, family

from encserve_export.texts.parts import Part, corpus_of

pytest.importorskip("ray", reason="ray is not installed: make ray")
pytestmark = pytest.mark.slow

JOB = Path(__file__).with_name("ray_job.py")
FILES, ROWS_OF_EACH = 10, 40
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1", "RAY_worker_niceness": "0"}


@pytest.fixture
def texts():
    known = [each.text for each in corpus_of(Part.CERTIFICATE).texts[:200]]
    return [f"{known[index % len(known)]} {index}" for index in range(FILES * ROWS_OF_EACH)]


@pytest.fixture
def source(texts, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(FILES):
        ids = range(number * ROWS_OF_EACH, (number + 1) * ROWS_OF_EACH)
        table = pa.table({"id": list(ids), "text": [texts[index] for index in ids]})
        pq.write_table(table, folder / f"{number:03}.parquet")
    return folder


@pytest.fixture
def start():
    """start(...): a job as a program; none of them outlives the test."""
    started = []

    def begin(*arguments, log):
        environment = os.environ | QUIET | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, str(JOB), *map(str, arguments)]
        with log.open("ab") as said:
            started.append(subprocess.Popen(command, env=environment, stdout=said, stderr=said))
        return started[-1]

    yield begin
    for process in started:
        kill(process)


def kill(process):
    """With all that it has started, at once."""
    started = [process.pid, *family(process.pid)]
    for pid in started:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    deadline_s = time.monotonic() + 30
    while any(map(exists, started)) and time.monotonic() < deadline_s:
        time.sleep(0.1)


def rows_in(folder, *, under_way=False):
    """Of a job that is `under_way`, or was killed, a file may be half written."""
    files = [file for file in folder.rglob("*.parquet") if "pending" not in file.name]
    rows = []
    for file in files:
        with suppress(*((pa.ArrowInvalid, FileNotFoundError) if under_way else ())):
            rows += pq.read_table(file).to_pylist()
    return rows


@pytest.mark.parametrize("kind", ["server", "local"])
def test_a_killed_job_goes_on_and_has_each_row_once(kind, request, client, start, texts, source, tmp_path):
    if kind == "server":
        settings = {"model": "minilm", "url": request.getfixturevalue("server").grpc_url, "version": 1}
    else:
        settings = {"model": "minilm", "repository": str(request.getfixturevalue("repository")), "version": 1}
    output, checkpoints, log = tmp_path / "vectors", tmp_path / "checkpoints", tmp_path / "log"
    job = (kind, source, output, checkpoints, json.dumps(settings))
    first = start(*job, log=log)
    deadline_s = time.monotonic() + 600
    while not output.exists() or len(rows_in(output, under_way=True)) < ROWS_OF_EACH:
        assert first.poll() is None, log.read_text()
        assert time.monotonic() < deadline_s, log.read_text()
        time.sleep(0.05)
    kill(first)
    kept = {row["id"] for row in rows_in(output, under_way=True)}
    assert 0 < len(kept) < len(texts), "it was to be killed in the middle"

    second = start(*job, log=log)
    assert second.wait(600) == 0, log.read_text()
    written = sorted(rows_in(output), key=lambda row: row["id"])
    assert [row["id"] for row in written] == list(range(len(texts)))
    assert {(row["error"], row["version"]) for row in written} == {(None, "1")}
    vectors = np.array([row["vector"] for row in written], np.float32)
    expected = client.embed(texts, model="minilm", priority="bulk").vectors
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-6)
