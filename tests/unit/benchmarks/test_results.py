"""The arithmetic of a run: ratios round by round, the best bound, and the table of what is asked."""

import json
import os
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from benchmarks.closed_loop import Load, as_tasks, on_threads, serially
from benchmarks.peers import published
from benchmarks.peers.asked import MARKS, main, table
from benchmarks.peers.catalogue import PROCESSES, SYSTEMS
from benchmarks.peers.measurement import Measurement
from benchmarks.peers.page import write_page
from benchmarks.peers.plan import IN_HAND, LOADED, Cell, cells
from benchmarks.peers.quality import Quality
from benchmarks.peers.results import BOUND, OtherDefinition, Results, print_table
from benchmarks.peers.workers import Answered
from benchmarks.processes import Cost, cost_of

FACTS = {
    "command": "python -m benchmarks",
    "date": "today",
    "machine": {"cpu": "a <processor>", "cores": 2},
    "model": "a model",
    "rounds": 3,
    "workloads": {"mixed": {"mean_tokens": 35.0, "max_tokens": 256}},
    "versions": {"encserve": {"encserve": "1"}},
}


def measurement(system, texts_per_s, *, number=1, mode="", **figures):
    modes = SYSTEMS[system].modes
    mode = mode or next(each for each in ("4x32", IN_HAND, *modes) if each in modes)
    values = {
        "workload": "mixed",
        "texts": 100,
        "tokens_per_s": 35 * texts_per_s,
        "p50_ms": None,
        "p95_ms": None,
        "p99_ms": None,
        "cpu_s_per_1000_texts": 9.0,
        "client_cpu_s_per_1000_texts": None,
        "peak_mib": 400.0,
        "padding": 0.0,
    }
    return Measurement(system=system, mode=mode, round=number, texts_per_s=texts_per_s, **{**values, **figures})


@pytest.fixture
def results():
    rates = {
        "encserve": [190.0, 95.0, 180.0],
        "bound, packed": [200.0, 90.0, 200.0],
        "bound, padded": [150.0, 100.0, 150.0],
        "sentence-transformers": [60.0, 30.0, 66.0],
    }
    found = Results(facts=dict(FACTS), refused={"MLServer": "it is <not> installed"})
    for system, values in rates.items():
        for number, value in enumerate(values, start=1):
            found.add(measurement(system, value, number=number))
    for number in (1, 2, 3):
        found.add(measurement("encserve", 100.0, number=number, mode="1x1", p50_ms=6.0 + number, p99_ms=20.0))
        found.add(measurement("bound, packed", 120.0, number=number, mode="1x1", p50_ms=5.5 + number))
        found.add(measurement("encserve", 70.0, number=number, mode="open, 70 %", p99_ms=28.0 * number))
    return found


def test_a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_medians(results):
    ratio = results.ratio("encserve", BOUND, "mixed", "4x32")
    assert (ratio.median, ratio.low, ratio.high) == (0.95, 0.9, 0.95)  # in round 2 the padded bound was the best
    assert results.ratio("encserve", "LitServe", "mixed", "4x32") is None
    assert results.median("encserve", "mixed", "4x32", "texts_per_s") == 180.0


def test_the_best_of_all_that_have_the_texts_in_hand_is_the_bound_whatever_its_engine(results):
    for number, rate in enumerate((250.0, 80.0, 100.0), start=1):
        results.add(measurement("sentence-transformers openvino", rate, number=number, mode=IN_HAND))
        results.add(measurement("bound, packed, OpenVINO", 240.0 - number, number=number))
        results.add(measurement("sentence-transformers onnx", 500.0, number=number))  # request by request: no bound
        results.add(measurement("encserve int8", 900.0, number=number))
    assert [each.texts_per_s for each in results.find(BOUND, "mixed", "4x32")] == [250.0, 238.0, 237.0]


def test_a_share_is_of_the_best_products_of_the_round_in_the_precision_of_the_system(results):
    for number in (1, 2, 3):
        results.add(measurement("roofline, fp32 numpy", 300.0, number=number))
        results.add(measurement("roofline, fp32 torch", (200.0, 380.0, 360.0)[number - 1], number=number))
        results.add(measurement("roofline, int8 torch", 1000.0, number=number))
        results.add(measurement("encserve int8", 400.0, number=number))
    share = results.share("encserve", "mixed", "4x32")
    assert (share.median, share.low, share.high) == (180 / 360, 95 / 380, 190 / 300)
    assert results.share("encserve int8", "mixed", "4x32").median == 0.4
    assert results.share("encserve", "mixed", "1x1").median == 100 / 360  # products are measured once a round
    results.add(measurement("encserve, Client", 100.0, mode="4x32", tokens_per_s=5000.0))  # of longer texts
    assert results.share("encserve, Client", "mixed", "4x32").median == 5000 / (35 * 300)
    rows = results.to_json()["summary"]
    (row,) = (each for each in rows if (each["system"], each["mode"]) == ("encserve", "4x32"))
    assert row["share_of_roofline"] == {"median": 0.5, "low": 0.25, "high": 0.633, "rounds": 3}
    assert "roofline of FP32 products, mixed, 4 x 32 | - | 0.50 (0.25 to 0.63), 3 rounds |" in table(results)


def test_tables_show_the_share(results, tmp_path, capsys):
    results.add(measurement("roofline, fp32 torch", 380.0, number=1))
    print_table(results)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "encserve " in line and "0.50 (0.50" in line)
    assert line.split("  ")[-1].strip() == "0.50 (0.50 to 0.50)"
    write_page(results, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "50% of the roofline" in page
    assert "50% (50% to 50%)" in page


def test_the_table_says_what_was_measured_and_what_was_not(results):
    lines = table(results).splitlines()
    assert any("| 0.95 | 0.95 (0.90 to 0.95), 3 rounds |" in line for line in lines)
    assert any("| 0.7 ms | 0.50 ms (8.00 - 7.50) |" in line for line in lines)
    assert any("| 5 or less | 7.0 (4.0 to 9.3), 3 rounds |" in line for line in lines)
    torch = next(line for line in lines if line.startswith("| FP32"))
    assert "4x32: 3.17 (2.73 to 3.17), 3 rounds, to it request by request" in torch
    assert any(line.endswith("| 4 | not measured |") for line in lines)


def test_each_figure_says_how_many_rounds_it_is_of(results, tmp_path):
    """A run measures other workloads than the first in every second round."""
    long = {"mean_tokens": 256.0, "max_tokens": 256}
    results.facts["workloads"] = {**FACTS["workloads"], "long": long}
    for number in (1, 3):
        for system in ("encserve", "bound, packed"):
            results.add(measurement(system, 10.0, number=number, workload="long"))
    assert "| 0.95 | 1.00 (1.00 to 1.00), 2 rounds |" in table(results)
    write_page(results, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "medians of as many rounds as stand in the tables" in page
    rows = re.findall(r"<tr>.*?</tr>", page.replace("\n", ""))
    counts = [re.findall(r">(\d+)</td>", row)[-1] for row in rows if "encserve, fp32, server" in row]
    assert sorted(counts) == ["2", "3", "3", "3"]


def test_the_table_is_written_between_its_marks(results, tmp_path, monkeypatch):
    file, document = tmp_path / "bench.json", tmp_path / "performance.md"
    file.write_text(json.dumps(results.to_json()))
    document.write_text(f"before\n{MARKS.begin}\nold\n{MARKS.end}\nafter\n")
    monkeypatch.setattr(sys, "argv", ["asked", "--json", str(file), "--write", str(document)])
    main()
    assert document.read_text() == f"before\n{MARKS.begin}\n{table(results)}\n{MARKS.end}\nafter\n"
    document.write_text("no marks")
    with pytest.raises(SystemExit, match=r"has no line <!-- benchmarks\.peers\.asked: begin -->"):
        main()


def test_results_come_back_from_their_file(results):
    again = Results.from_json(json.loads(json.dumps(results.to_json())))
    assert again == results


def test_results_by_another_definition_of_the_bound_are_refused(results, tmp_path, monkeypatch):
    """They would be read as what they were not."""
    data = json.loads(json.dumps(results.to_json()))
    del data["facts"]["stands_for"][BOUND][0]
    with pytest.raises(OtherDefinition, match="of today, are by another definition of the bound"):
        Results.from_json(data)
    del data["facts"]["stands_for"]  # of a run before the definition was kept
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(data))
    monkeypatch.setattr(sys, "argv", ["asked", "--json", str(file)])
    with pytest.raises(SystemExit, match=r"bench\.json: these results.*measure anew with make bench"):
        main()


def test_the_document_has_no_table_of_results_by_another_definition():
    root = Path(__file__).parents[3]
    kept = json.loads((root / "benchmarks/results/bench.json").read_text())
    try:
        results = Results.from_json(kept)
    except OtherDefinition:
        peers = asked = "No run by today's definition of the bound is kept."
    else:
        peers, asked = published.peers_table(results), table(results)
    for file in ("README.md", "docs/performance.md"):
        assert published.MARKS.inside(root / file).strip() == peers
    assert MARKS.inside(root / "docs/performance.md").strip() == asked


def test_documents_lose_the_figures_of_a_run_by_another_definition(results, tmp_path, monkeypatch):
    data = json.loads(json.dumps(results.to_json()))
    del data["facts"]["stands_for"]
    kept, readme, performance = (tmp_path / name for name in ("bench.json", "README.md", "performance.md"))
    kept.write_text(json.dumps(data))
    own = published.MARKS
    readme.write_text(f"{own.begin}\nold\n{own.end}\n")
    performance.write_text(f"{own.begin}\nold\n{own.end}\n{MARKS.begin}\nold\n{MARKS.end}\n")
    monkeypatch.setattr(published, "README", readme)
    monkeypatch.setattr(published, "PERFORMANCE", performance)
    monkeypatch.setattr(sys, "argv", ["published", "--json", str(kept)])
    with pytest.raises(SystemExit, match="measure anew with make bench"):
        published.main()
    no_run = "\nNo run by today's definition of the bound is kept.\n"
    assert readme.read_text() == f"{own.begin}{no_run}{own.end}\n"
    assert performance.read_text() == f"{own.begin}{no_run}{own.end}\n{MARKS.begin}{no_run}{MARKS.end}\n"


def test_bars_and_the_shares_beside_them_are_of_one_unit(results, tmp_path):
    """Products of matrices answer the first texts of a load, which are of other lengths than all."""
    results.add(measurement("roofline, fp32 torch", 900.0, number=1, tokens_per_s=35 * 380.0))
    write_page(results, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert f"{35 * 380:,}" in page
    assert f"{35 * 180:,}  ·  0.95 of the bound  ·  50% of the roofline" in page
    assert "mixed, 4x32: tokens per second" in page
    assert results.systems("mixed", IN_HAND)[:2] == ["roofline, fp32 torch", "bound, packed"]


def test_the_page_needs_nothing_else_and_escapes_what_it_shows(results, tmp_path):
    write_page(results, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<svg" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "a &lt;processor&gt;" in page
    assert "it is &lt;not&gt; installed" in page


def test_all_systems_are_measured_with_the_first_workload_and_few_with_the_others():
    plan = cells(list(SYSTEMS.values()), ["mixed", "long"], ["1x1", "4x32", IN_HAND])
    few = [each for each in SYSTEMS.values() if each.everywhere]
    assert [cell for cell in plan if cell.workload == "long"] == [
        Cell(each.name, "long", each.everywhere) for each in few
    ]
    assert plan[0] == Cell("encserve", "mixed", "1x1")
    assert len(plan) == len(set(plan))
    assert {system.process for system in SYSTEMS.values()} == set(PROCESSES)
    assert all(each.everywhere in ("", *each.modes) for each in SYSTEMS.values())


def test_every_server_is_measured_under_load_and_every_library_that_bounds_with_all_texts_in_hand():
    for system in SYSTEMS.values():
        assert set(system.modes) & set(LOADED) or system.where == "in process", system.name
        assert not system.bounds or IN_HAND in system.modes, system.name


def test_every_file_of_an_environment_is_of_a_peer_and_pinned():
    folder = Path(__file__).parents[3] / "benchmarks/environments"
    made = {file.stem for file in folder.glob("*.txt")}
    assert {process.environment for process in PROCESSES.values()} - {""} <= made
    for file in folder.glob("*.txt"):
        lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
        assert any("==" in line for line in lines), file


def test_vectors_are_wrong_by_the_measure_of_their_precision():
    rows = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    assert Quality.of(3 * rows, rows) == Quality(1.0, 1.0)
    noisy = Quality.of(rows + 0.2 * np.random.default_rng(1).normal(size=rows.shape).astype(np.float32), rows)
    assert noisy.wrong("fp32").startswith("wrong vectors: mean cosine 0.9")
    assert not noisy.wrong("int8")
    assert 0.5 < noisy.neighbours < 1
    with pytest.raises(ValueError, match="vectors of shape"):
        Quality.of(rows[1:], rows)
    with pytest.raises(ValueError, match="numbers that are none"):
        Quality.of(np.full_like(rows, np.nan), rows)


def test_each_peer_is_published_with_its_best_and_its_quality(results, tmp_path, monkeypatch):
    results.quality |= {"CTranslate2 int8": Quality(0.99731, 0.9234)}
    for number in (1, 2, 3):
        results.add(measurement("CTranslate2 int8", 300.0, number=number))
        results.add(measurement("encserve int8", 400.0, number=number))
        results.add(measurement("encserve int8", 200.0, number=number, mode="32x1"))
        results.add(measurement("sentence-transformers", 150.0, number=number, mode=IN_HAND))
        results.add(measurement("roofline, int8 torch", 1000.0, number=number))
    text = published.peers_table(results)
    ratios = "0.30 (0.30 to 0.30) | 1.33 (1.33 to 1.33)"
    assert f"| CTranslate2 int8 | int8 | in process | 0.9973 / 0.923 | all texts in hand | {ratios} |" in text
    assert "| sentence-transformers | fp32 | in process |  | all texts in hand |" in text
    assert "| sentence-transformers | fp32 | in process |  | 32 texts a call |" not in text
    assert "- MLServer: it is <not> installed" in text
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    assert rows[-2:] == ["| CTranslate2 int8", "| sentence-transformers"]  # the fastest first
    files = [tmp_path / "bench.json", tmp_path / "README.md", tmp_path / "performance.md"]
    files[0].write_text(json.dumps(results.to_json()))
    own, asked = published.MARKS, MARKS
    files[1].write_text(f"{own.begin}\n{own.end}\n")
    files[2].write_text(f"{own.begin}\n{own.end}\n{asked.begin}\n{asked.end}\n")
    monkeypatch.setattr(published, "README", files[1])
    monkeypatch.setattr(published, "PERFORMANCE", files[2])
    monkeypatch.setattr(sys, "argv", ["published", "--json", str(files[0])])
    published.main()
    assert files[1].read_text() == f"{own.begin}\n{text}\n{own.end}\n"
    assert files[2].read_text() == f"{own.begin}\n{text}\n{own.end}\n{asked.begin}\n{table(results)}\n{asked.end}\n"


def test_a_measurement_counts_server_and_client():
    before = Cost(own_cpu_s=1.0, children_cpu_s=2.0, own_peak_bytes=1 << 20, children_peak_bytes=3 << 20)
    after = Cost(own_cpu_s=2.0, children_cpu_s=6.0, own_peak_bytes=2 << 20, children_peak_bytes=5 << 20)
    answer = {"texts": 100, "wall_s": 2.0, "latencies_s": [0.1, 0.2, 0.3], "padding": None}
    found = Measurement.of(
        Cell("encserve", "mixed", "1x1"), 1, Answered(said=answer, before=before, after=after), [10] * 200, padding=0.0
    )
    assert (found.texts_per_s, found.tokens_per_s, found.p50_ms) == (50.0, 500.0, 200.0)
    assert (found.cpu_s_per_1000_texts, found.client_cpu_s_per_1000_texts) == (50.0, 10.0)
    assert found.peak_mib == 5.0
    in_process = Cost(own_cpu_s=2.0, children_cpu_s=0.0, own_peak_bytes=2 << 20, children_peak_bytes=0)
    alone = Answered(said=answer, before=before, after=in_process)
    found = Measurement.of(Cell("bound, packed", "mixed", "1x1"), 1, alone, [10], padding=None)
    assert (found.client_cpu_s_per_1000_texts, found.peak_mib) == (None, 2.0)


async def test_every_loop_sends_all_and_none_after_the_time_is_up():
    requests = [[str(number)] for number in range(20)]
    seen = []

    async def call(texts):
        seen.extend(texts)

    async def all_at_once():
        return serially(Load(requests, 4, 60.0), seen.extend)

    async def threads():
        return on_threads(Load(requests, 4, 60.0), seen.extend)

    open_loop = Load(requests, 1, 60.0, due_s=[0.001 * number for number in range(20)])
    for loop in (all_at_once(), threads(), as_tasks(Load(requests, 4, 60.0), call), as_tasks(open_loop, call)):
        done = await loop
        assert sorted(seen, key=int) == [text for (text,) in requests]
        assert (done.texts, len(done.latencies_s)) == (20, 20)
        assert done.wall_s > 0
        seen.clear()
    done = serially(Load(requests, 1, 0.5), lambda texts: time.sleep(0.1))
    assert 0 < done.texts < 20


def test_a_process_costs_something():
    end = time.process_time() + 0.05
    before = cost_of(os.getpid())
    while time.process_time() < end:
        pass
    after = cost_of(os.getpid())
    assert after.own_cpu_s > before.own_cpu_s
    assert after.own_peak_bytes > 1 << 20
