"""`encserve bulk` with a real server: the vectors of a file are those of the SDK."""

import argparse
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from encserve import InvalidInput
from encserve_bulk import command
from encserve_export.texts.parts import Part, corpus_of


@pytest.fixture
def bulk(server):
    """bulk(...): the exit code of the command."""

    def run(*options):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        return command.run(parser.parse_args([*map(str, options), "--url", server.grpc_url]))

    return run


@pytest.fixture(scope="module")
def texts():
    return [each.text for each in corpus_of(Part.CERTIFICATE).texts[:200]]


def test_vectors_are_those_of_the_sdk_and_the_job_goes_on(bulk, client, texts, tmp_path, capsys):
    source, out = tmp_path / "in.parquet", tmp_path / "out"
    pq.write_table(pa.table({"key": [f"k{index}" for index in range(len(texts))], "body": texts}), source)
    options = ["embed", source, out, "--model", "minilm", "--id", "key", "--text", "body", "--window-rows", 64]
    assert bulk(*options) == 0
    assert "200 rows in" in capsys.readouterr().err
    written = [row for part in sorted(out.glob("part-*")) for row in pq.read_table(part).to_pylist()]
    answer = client.embed(texts, model="minilm")
    assert [row["key"] for row in written] == [f"k{index}" for index in range(len(texts))]
    vectors = np.array([row["vector"] for row in written], np.float32)
    assert np.abs(vectors - answer.vectors).max() < 1e-6
    assert [row["token_count"] for row in written] == answer.token_counts.tolist()
    (out / "part-000002.parquet").unlink()
    assert bulk(*options, "--resume") == 0
    assert "136 of them done before" in capsys.readouterr().err
    assert pq.read_table(out / "part-000002.parquet").num_rows == 64


def test_lines_in_bits_out(bulk, client, texts, tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out"
    lines = [json.dumps({"id": index, "text": text}) for index, text in enumerate(texts[:20])]
    source.write_text("\n".join(lines), encoding="utf-8")
    assert bulk("embed", source, out, "--model", "minilm", "--output-dtype", "binary", "--format", "jsonl") == 0
    written = [json.loads(line) for line in (out / "part-000000.jsonl").read_text(encoding="utf-8").splitlines()]
    answer = client.embed(texts[:20], model="minilm", output_dtype="binary")
    assert [row["vector"] for row in written] == answer.vectors.tolist()


def test_an_option_that_the_pipeline_refuses_is_said_at_once(bulk, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": 1, "text": "a"}\n', encoding="utf-8")
    with pytest.raises(InvalidInput, match="dimensions"):
        bulk("embed", source, tmp_path / "out", "--model", "minilm", "--dimensions", 5_000)
    assert not (tmp_path / "out").exists()
