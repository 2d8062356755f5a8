"""What a start is said to cost: parts that add up, processes by their names, memory as the kernel counts it."""

import json
import os
import subprocess
import sys
import time

import pytest
from benchmarks.cost.start import PARTS, Start, graph_bytes, print_summary, summary
from benchmarks.cost.started import Running, memory_of, name_of, processes_of

MIB = 2**20


def running(name, began_s, *, cpu_s=0.5, mib=10):
    return Running(name, began_s, cpu_s, pss_bytes=mib * MIB, private_bytes=mib * MIB)


def start(encode_mib, answered_s=4.0):
    processes = [
        running("launcher", 0.0),
        running("guard", 0.4),
        running("tritonserver", 0.5),
        running("m_tokenize", 0.9),
        running("m_encode", 0.8, mib=encode_mib),
        running("m_head", 1.0),
    ]
    return Start(ready_s=3.5, answered_s=answered_s, processes=processes)


def test_the_parts_of_a_start_are_one_after_the_other():
    parts = start(100).parts
    assert list(parts) == list(PARTS)
    assert parts == pytest.approx({"launcher": 0.5, "triton": 0.3, "steps": 2.7, "first answer": 0.5})
    assert sum(parts.values()) == pytest.approx(4.0)


def test_the_memory_between_two_starts_says_how_often_weights_are_held(capsys):
    imports = [{step: [0.3, 0.2] for step in ("tokenize", "encode", "head")}] * 3
    found = summary(
        [start(200, 4.0), start(210, 9.0), start(190, 3.0)],
        [start(100), start(105), start(90)],
        imports,
        graph=(50 * MIB, 47 * MIB),
    )
    assert found["second_copy_in_graphs"] == 2.0
    assert found["answered_s"] == 4.0
    assert found["pss_bytes"] == (200 + 5 * 10) * MIB
    assert found["processes"]["m_encode"]["private_bytes"] == 200 * MIB
    assert found["cpu_s"] == 3.0
    print_summary({"m": found})
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["m_encode", "0.80", "0.50", "200", "200", "0.30", "0.20"] for line in lines)
    assert any(line.split() == ["tritonserver", "0.50", "0.50", "10", "10"] for line in lines)
    assert "graph 50 MiB and 47 MiB of mapped tables" in " ".join(lines)


def test_tables_that_are_mapped_are_told_from_what_is_copied(tmp_path):
    folder = tmp_path / "m_encode/1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(bytes(20))
    (folder / "model.onnx.data").write_bytes(bytes(90))
    settings = {"graph_sha256": {"model.onnx": "", "model.onnx.data": ""}, "mapped_bytes": 80}
    (folder / "settings.json").write_text(json.dumps(settings))
    assert graph_bytes(tmp_path, "m") == (30, 80)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["/opt/tritonserver", "--model-repository=/r"], "tritonserver"),
        (["/x/triton_python_backend_stub", "/r/minilm_encode/1/model.py", "region", "1"], "minilm_encode"),
        (["/usr/bin/python3.11", "-P", "/e/processes/guard.py", "tritonserver"], "guard"),
        (["/usr/bin/python3.11", "-m", "other"], "python3.11"),
        ([], "?"),
    ],
)
def test_a_process_has_the_name_of_what_it_does(command, name):
    assert name_of(command) == name


def test_processes_come_in_the_order_in_which_they_began():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import sys; sys.stdin.read()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as parent:
        end_s = time.monotonic() + 60
        while len(found := processes_of(parent.pid)) < 2:
            assert time.monotonic() < end_s
            time.sleep(0.02)
        parent.stdin.close()
    first, second = found
    assert (first.name, first.began_s) == ("launcher", 0.0)
    assert second.began_s >= 0.0
    with pytest.raises(ProcessLookupError):
        processes_of(parent.pid)


def test_memory_is_what_a_process_has_of_it():
    before, _ = memory_of(os.getpid())
    held = bytearray(os.urandom(64 * MIB))
    after, private = memory_of(os.getpid())
    assert after - before > 60 * MIB
    assert private >= len(held)
    assert memory_of(2**22 + 1) == (0, 0)
