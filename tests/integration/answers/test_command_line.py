"""The commands, as a shell runs them, against the real server."""

import json
import subprocess
import sys

import numpy as np


def encserve(*arguments, stdin=b""):
    command = [sys.executable, "-m", "encserve", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=300, check=False)


def test_embed_arguments_gives_json_lines(server, client):
    done = encserve("embed", "--model", "minilm", "--url", server.grpc_url, "first text", "second text")
    assert (done.returncode, done.stderr) == (0, b"")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    expected = client.embed(["first text", "second text"], model="minilm")
    assert [row["index"] for row in rows] == [0, 1]
    assert [row["token_count"] for row in rows] == expected.token_counts.tolist()
    assert np.abs(np.array([row["vector"] for row in rows]) - expected.vectors).max() <= 1e-6


def test_embed_standard_input_to_a_file(server, client, tmp_path):
    lines = ["une première", "", "dritte Zeile 😀"]
    file = tmp_path / "vectors.npy"
    stdin = "\n".join(lines).encode()
    done = encserve("embed", "--model", "minilm", "--url", server.grpc_url, "--output", str(file), "-", stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert np.abs(np.load(file) - client.embed(lines, model="minilm").vectors).max() <= 1e-6


def test_a_cut_text_is_said(server):
    done = encserve("embed", "--model", "minilm", "--url", server.grpc_url, "word " * 500)
    assert done.returncode == 0
    assert b"1 " in done.stderr
    assert b"cut" in done.stderr


def test_models_lists_the_pipelines(server):
    done = encserve("models", "--url", server.grpc_url, "--json")
    listed = {each["name"]: each for each in json.loads(done.stdout)}
    assert listed.keys() == {"minilm", "prompted"}
    assert (listed["minilm"]["precision"], listed["minilm"]["max_length"]) == ("fp32", 256)


def test_wrong_input_is_one_line_and_exit_code_2(server):
    done = encserve("embed", "--model", "minilm", "--url", server.grpc_url, "-", stdin=b"good\ncaf\xe9\n")
    assert done.returncode == 2
    assert done.stderr.startswith(b"encserve: error: ")
    assert b"line 2" in done.stderr
