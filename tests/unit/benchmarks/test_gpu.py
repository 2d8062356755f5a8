"""What `make gpu` does, without a card: its steps within their time, its packs, its arithmetic, and its rows."""

import ast
import json
import os
import sys
import time
import weakref
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import rows, wheels
from benchmarks.gpu.__main__ import GPU_TESTS, parse_arguments, plan, read_results
from benchmarks.gpu.card import products
from benchmarks.gpu.measure import REHEARSAL, cosines, flops_per_token, make_texts, measure
from benchmarks.gpu.steps import Step, run_steps
from benchmarks.gpu.systems import MOST_TOKENS, CannotRun, in_calls
from benchmarks.gpu.wheels import IN_PLACE_OF, LEFT_OUT, needed
from benchmarks.roofline.linear_layers import LinearLayers
from packaging.utils import canonicalize_name

TESTS = Path(__file__).parents[2]

MINILM = LinearLayers(layers=6, hidden=384, intermediate=1536)


def step(name, code, *, limit_s=60.0):
    return Step(name=name, doing="a test", command=[sys.executable, "-c", code], limit_s=limit_s)


def run(steps, tmp_path, *, left_s=60.0):
    kept = []
    outcomes = run_steps(
        steps,
        end_s=time.monotonic() + left_s,
        logs=tmp_path,
        environment=os.environ,
        after=lambda so_far: kept.append([each.state for each in so_far]),
    )
    return outcomes, kept


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_step_that_fails_says_why_and_the_next_one_runs(tmp_path, capsys):
    steps = [
        step("broken", "raise SystemExit('CUDA error: no kernel image')"),
        step("whole", "print('it ran')"),
    ]
    (broken, whole), kept = run(steps, tmp_path)
    assert (broken.state, broken.why) == ("failed", "exit code 1: CUDA error: no kernel image")
    assert (whole.state, whole.last_lines) == ("done", ["it ran"])
    assert kept == [["failed"], ["failed", "done"]]
    assert "broken: failed" in capsys.readouterr().err


def test_a_step_that_takes_too_long_ends_with_all_that_it_started(tmp_path):
    child = tmp_path / "child"
    code = (
        "import subprocess, sys, time\n"
        "started = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(child)!r}, 'w').write(str(started.pid))\n"
        "time.sleep(600)"
    )
    ((outcome,), _) = run([step("slow", code, limit_s=6.0)], tmp_path)
    assert (outcome.state, outcome.why) == ("out of time", "ended after 6 s")
    end_s = time.monotonic() + 60
    while runs(int(child.read_text())):  # it was told to end, and has to get round to it
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_what_does_not_fit_into_the_time_is_passed_over_and_says_so(tmp_path):
    ((outcome,), _) = run([step("late", "print('never')")], tmp_path, left_s=4.0)
    assert outcome.state == "passed over"
    assert outcome.why.endswith("s are left of the whole time")
    assert not (tmp_path / "late.log").exists()


def test_each_model_is_exported_and_measured_even_where_its_export_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu"])
    steps = plan(tmp_path, {"minilm": tmp_path / "c"}, 9e14, parse_arguments())
    assert [each.name for each in steps] == ["tests", "export minilm", "measure minilm"]
    assert "--require-gpu" in steps[0].command
    assert "900000000000000.0" in steps[2].command
    monkeypatch.setattr(sys, "argv", ["gpu", "--no-tests", "--rehearse"])
    assert [each.name for each in plan(tmp_path, {}, 1.0, parse_arguments())] == []


@pytest.mark.parametrize("padded", [True, False])
def test_calls_stay_below_their_tokens_and_vectors_come_back_in_order(padded):
    ids = make_texts(2000, 300)
    calls = []

    def call(own):
        calls.append(max(map(len, own)) * len(own) if padded else sum(map(len, own)))
        return np.array([[len(each), each[0]] for each in own], np.float32)

    vectors = in_calls(ids, call, padded=padded)
    assert vectors.tolist() == [[len(each), each[0]] for each in ids]
    assert max(calls) <= MOST_TOKENS
    least = sum(map(len, ids)) / MOST_TOKENS
    assert least <= len(calls) < 1.5 * least + 1


def test_operations_of_a_token_are_those_of_its_layers_and_of_its_attention():
    texts = [np.zeros(10), np.zeros(30)]
    attention = 4 * 6 * 384 * (10**2 + 30**2) / 40
    assert flops_per_token(MINILM, texts) == pytest.approx(21_233_664 + attention)


def test_figures_of_a_system_and_the_reason_of_one_that_cannot_run():
    ids = make_texts(REHEARSAL.texts, 300)

    @contextmanager
    def system():
        yield lambda own: np.array([[len(each), 1.0] for each in own], np.float32)

    @contextmanager
    def lacking():
        raise CannotRun("there is no such kernel")
        yield

    reference = np.array([[len(each), 1.0] for each in ids], np.float32)
    found = measure(system(), ids, reference, MINILM, 1e12, "cpu", REHEARSAL)
    # Figures are rounded to whole tokens.
    assert found["mfu"] == pytest.approx(found["tokens_per_s"] * flops_per_token(MINILM, ids) / 1e12, rel=1e-3)
    assert found["cosine_min_to_fp32"] == 1.0
    assert found["memory_mib"] is None
    assert measure(lacking(), ids, reference, MINILM, 1e12, "cpu", REHEARSAL) == {
        "not measured": "there is no such kernel"
    }
    assert cosines(np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]])).tolist() == [0.0]


@pytest.mark.parametrize("breaks", [False, True])
def test_weights_of_a_system_are_gone_before_the_memory_of_the_next_is_counted(monkeypatch, breaks):
    """Else the card's memory would be in PyTorch's cache, counted as taken before the next one is loaded."""

    class Weights:
        pass

    @contextmanager
    def system():
        weights = Weights()
        kept.append(weakref.ref(weights))

        def encode(own, weights=weights):
            if breaks:
                raise RuntimeError("CUDA error")
            return np.ones((len(own), 2), np.float32)

        yield encode

    kept, gone = [], []
    monkeypatch.setattr("benchmarks.gpu.measure._used_bytes", lambda device: 0)
    monkeypatch.setattr("benchmarks.gpu.measure.synchronize", lambda device: None)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: gone.append(kept[0]() is None))
    ids = make_texts(REHEARSAL.texts, 300)
    found = measure(system(), ids, np.ones((len(ids), 2)), MINILM, 1e12, "cuda", REHEARSAL)
    assert found.get("memory_mib") == (None if breaks else 0)
    assert gone == [True]


def test_wheels_are_those_of_the_exporter_and_of_the_tests_without_pytorch():
    names = {line.partition("==")[0] for line in needed()}
    assert {"transformers", "onnxruntime-gpu", "onnxscript", "tritonclient", "grpcio", "pytest", "scipy"} <= names
    assert not names & {"torch", "onnxruntime", "encserve", "nvidia-pytriton"}


def imported(file, seen):
    """The packages that a file of the tests imports, itself or by other files of tests, which are added to `seen`."""
    seen.add(file)
    packages = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        else:
            continue
        for name in names:
            path = f"{name.replace('.', '/')}.py"
            own = next((each for each in (file.parent / path, TESTS / path) if each.is_file()), None)
            if own is None:
                packages.add(name.partition(".")[0])
            elif own not in seen:
                packages |= imported(own, seen)
    return packages


def test_wheels_have_what_the_tests_on_the_card_and_their_fixtures_import():
    brought = {canonicalize_name(line.partition("==")[0]) for line in needed()} | set(LEFT_OUT) | set(IN_PLACE_OF)
    distributions, lacking, seen = packages_distributions(), set(), set()
    for file in (TESTS / "conftest.py", TESTS / "export/conftest.py", *(TESTS.parent / each for each in GPU_TESTS)):
        for name in imported(file, seen) - sys.stdlib_module_names:
            of = {canonicalize_name(each) for each in distributions.get(name, ())}
            if of and not of & (brought | {"encserve"}):
                lacking.add(name)
    assert {"certificates.py", "traces.py", "small_checkpoints.py", "fake_tensorrt.py"} <= {each.name for each in seen}
    assert lacking == set()


@pytest.mark.parametrize("there", [True, False])
def test_tests_of_tensorrt_run_where_it_is_and_the_results_say_where_they_did_not(tmp_path, monkeypatch, there):
    monkeypatch.setattr(sys, "argv", ["gpu"])
    monkeypatch.setattr(gpu, "find_spec", lambda name: object() if there else None)
    (tests,) = plan(tmp_path, {}, 1.0, parse_arguments())
    assert ("tests/export/engines/test_tensorrt.py" in tests.command) == there
    assert "tests/export/network/test_fused_attention.py" in tests.command
    left_out = {} if there else {"tests/export/engines/test_tensorrt.py": "tensorrt is not installed"}
    assert gpu.left_out() == left_out
    said = "| tests/export/engines/test_tensorrt.py | left out: tensorrt is not installed |"
    assert (said in rows.text_of(results(left_out=left_out)).splitlines()) != there


def test_a_folder_with_something_in_it_is_no_place_for_wheels(tmp_path, monkeypatch):
    (tmp_path / "mine").write_text("")
    monkeypatch.setattr(sys, "argv", ["wheels", str(tmp_path)])
    with pytest.raises(SystemExit, match="is not empty: take another folder"):
        wheels.main()


def test_products_are_positive():
    assert min(products("cpu", 32).values()) > 0


def results(**facts):
    figures = {"tokens_per_s": 1_234_567, "mfu": 0.418, "p50_ms_of_one_text": 0.9, "memory_mib": 2048}
    systems = {"encserve fp16": {**figures, "cosine_min_to_fp32": 0.999991}, "torch": {"not measured": "no | kernel"}}
    certificate = {
        "hardware": "NVIDIA X",
        "figures": {"cosine_min": {"measured": 0.99999, "limit": 0.999}},
        "attention": "PackedMultiHeadAttention",
        "ways": {"fp16, written out": {"ratio": 0.8, "tokens_per_s": 1.0}},
    }
    return {
        "facts": {
            "command": "python -m benchmarks.gpu",
            "date": "today",
            "rehearsal": False,
            "seconds": 400,
            "weights": {"minilm": "random"},
            **facts,
        },
        "card": {
            "name": "NVIDIA X",
            "memory_gib": 140.0,
            "driver": "1",
            "cuda": "13.0",
            "versions": {"torch": "2"},
            "products_flops_per_s": {"fp16": 7.9e14},
            "onnxruntime_lacks": "",
        },
        "steps": [{"name": "tests", "state": "passed over", "seconds": 0.0, "why": "3 s are left", "last_lines": []}],
        "models": {"minilm": {"certificate": certificate, "measured": {"systems": systems}}},
    }


def test_rows_say_what_a_card_did_and_what_it_did_not():
    lines = rows.text_of(results()).splitlines()
    assert "790 TFLOP/s in fp16" in lines[0]
    assert "| minilm, random weights | encserve fp16 | 1,234,567 | 42% | 0.90 ms | 2,048 MiB | 0.999991 |" in lines
    assert "| minilm, random weights | torch | not measured: no \\| kernel | | | |  |" in lines
    assert "| minilm | on NVIDIA X: cosine_min 0.99999 | PackedMultiHeadAttention (fp16, written out: 0.80) |" in lines
    assert "| tests | passed over: 3 s are left |" in lines


def test_a_rehearsal_is_no_card(tmp_path, monkeypatch):
    assert rows.text_of(None) == rows.text_of(results(rehearsal=True)) == rows.NEVER
    file, document = tmp_path / "gpu.json", tmp_path / "hardware.md"
    file.write_text(json.dumps(results()))
    document.write_text(f"before\n{rows.MARKS.begin}\nold\n{rows.MARKS.end}\nafter\n")
    monkeypatch.setattr(sys, "argv", ["rows", "--json", str(file), "--write", str(document)])
    rows.main()
    assert document.read_text() == f"before\n{rows.MARKS.begin}\n{rows.text_of(results())}\n{rows.MARKS.end}\nafter\n"
    document.write_text("no marks")
    with pytest.raises(SystemExit, match=r"has no line <!-- benchmarks\.gpu\.rows: begin -->"):
        rows.main()


def test_the_page_has_the_rows_of_the_results_that_are_kept():
    root = Path(__file__).parents[3]
    kept = root / "benchmarks/results/gpu.json"
    text = rows.text_of(json.loads(kept.read_text()) if kept.is_file() else None)
    assert f"{rows.MARKS.begin}\n{text}\n{rows.MARKS.end}" in (root / "docs/hardware.md").read_text()


def test_results_are_what_the_steps_have_written_so_far(tmp_path):
    assert read_results(tmp_path) == {"models": {}}
    (tmp_path / "card.json").write_text('{"name": "X"}')
    (tmp_path / "measured-minilm.json").write_text('{"texts": 3}')
    assert read_results(tmp_path) == {"card": {"name": "X"}, "models": {"minilm": {"measured": {"texts": 3}}}}
