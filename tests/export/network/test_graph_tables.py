"""Tables that are only looked up lie beside the graph, where a runtime maps them and holds them once."""

import json
import stat
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from encserve_export.network import graph_file
from encserve_export.network.graph_file import (
    looked_up,
    read_graph_file,
    remove_graph_file,
    write_graph_file,
)
from encserve_export.network.graph_session import session_of

WORDS, WIDTH = 50_000, 256  # 51 MB
IDS = np.array([3, 1, WORDS - 1])
SESSIONS = """
import json, sys
from pathlib import Path
import numpy as np
from encserve_server.steps.encode.network.onnxruntime_network import OnnxRuntimeNetwork

def private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))

before = private()
networks = [OnnxRuntimeNetwork(Path(sys.argv[1]), {}, side_by_side=1) for _ in range(2)]
rows = [network.run({"ids": np.array([3, 1, 49999])}, ["rows"])[0] for network in networks]
assert (rows[0] == rows[1]).all()
print(json.dumps(private() - before))
"""


def graph_of(nodes, words=WORDS, outputs=("rows",)):
    """A table of `words` rows under the name "table", and what `nodes` make of it."""
    table = np.random.default_rng(0).random((words, WIDTH), np.float32)
    made = helper.make_graph(
        nodes,
        "tables",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def look_up(into="rows", **options):
    return helper.make_node("Gather", ["table", "ids"], [into], **options)


def test_two_sessions_hold_a_table_once_and_neither_copies_it(tmp_path):
    write_graph_file(graph_of([look_up()]), tmp_path / "model.onnx")
    ran = subprocess.run(
        [sys.executable, "-c", SESSIONS, str(tmp_path / "model.onnx")], capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) < WORDS * WIDTH * 4 / 2


@pytest.mark.parametrize("all_weights", [False, True], ids=["tables", "all weights"])
def test_who_may_read_the_graph_may_read_its_weights(all_weights, tmp_path, monkeypatch):
    if all_weights:
        monkeypatch.setattr(graph_file, "EXTERNAL_ABOVE_BYTES", 1_000)
    write_graph_file(graph_of([look_up()]), tmp_path / "model.onnx")
    graph, weights = (stat.S_IMODE(file.stat().st_mode) for file in sorted(tmp_path.iterdir()))
    assert weights == graph


def test_it_is_the_same_graph(tmp_path):
    graph, file = graph_of([look_up()]), tmp_path / "model.onnx"
    (expected,) = session_of(graph).run(None, {"ids": IDS})
    write_graph_file(graph, file)
    assert file.stat().st_size < 1_000
    assert (tmp_path / "model.onnx.data").stat().st_size == WORDS * WIDTH * 4
    again = read_graph_file(file)
    np.testing.assert_array_equal(session_of(again).run(None, {"ids": IDS})[0], expected)
    write_graph_file(again, file)  # as each step of an export does
    np.testing.assert_array_equal(session_of(read_graph_file(file)).run(None, {"ids": IDS})[0], expected)
    write_graph_file(graph_of([look_up()], words=10), file)
    assert not (tmp_path / "model.onnx.data").exists(), "of the graph before"
    remove_graph_file(file)
    assert list(tmp_path.iterdir()) == []


def in_a_loop():
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), look_up("own")],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("own", TensorProto.FLOAT, None),
        ],
    )
    return [helper.make_node("Loop", ["times", ""], ["rows"], body=body)]


@pytest.mark.parametrize(
    ("nodes", "outputs", "found"),
    [
        ([look_up()], ("rows",), ["table"]),
        ([look_up(axis=0), look_up("more")], ("rows", "more"), ["table"]),
        (in_a_loop(), ("rows",), ["table"]),
        ([look_up(axis=1)], ("rows",), []),
        ([look_up(), helper.make_node("MatMul", ["x", "table"], ["more"])], ("rows", "more"), []),
        ([*in_a_loop(), helper.make_node("Identity", ["table"], ["more"])], ("rows", "more"), []),
        ([look_up()], ("rows", "table"), []),
    ],
    ids=["once", "twice", "in a loop", "columns", "and multiplied", "and in a loop", "and given out"],
)
def test_a_table_is_what_rows_are_taken_of_and_nothing_else(nodes, outputs, found):
    graph = graph_of(nodes, words=10, outputs=outputs).graph
    assert [tensor.name for tensor in looked_up(graph)] == found


def test_an_export_lists_it_among_what_is_certified(export_config, monkeypatch):
    from encserve_export.export import export

    monkeypatch.setattr(graph_file, "TABLE_BYTES", 10_000)
    manifest = export(export_config)
    folder = export_config.repository / "tiny_encode/1"
    apart = onnx.load(folder / "model.onnx", load_external_data=False).graph.initializer
    assert [each.name for each in apart if each.external_data] == ["encoder.embeddings.word_embeddings.weight"]
    assert "tiny_encode/1/model.onnx.data" in manifest.files
    settings = json.loads((folder / "settings.json").read_text())
    assert set(settings["graph_sha256"]) == {"model.onnx", "model.onnx.data"}
    assert settings["mapped_bytes"] == sum(np.prod(each.dims) * 4 for each in apart if each.external_data)
