"""`encserve plan` and the Locust users over real gRPC: against a server of known speed, and Triton with MiniLM."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from known_server import KnownServer, serving_known
from plan_command import PLAN, plan

ROOT = Path(__file__).parents[3]
SERVICE_S = 0.01


@pytest.fixture(scope="module")
def known_url() -> Iterator[str]:
    with serving_known(KnownServer(service_s=SERVICE_S)) as url:
        yield url


def test_a_plan_against_a_server_of_known_speed(known_url, tmp_path):
    """What it finds depends on how busy this host is, so the figures are held against theory in virtual time."""
    options = ["--model=fake", f"--url={known_url}", "--p99=300ms", "--window=1s", "--time-limit=25s", "--rate=500"]
    done = plan(*options, "--replica-cost-per-hour=1", "--shape=spike", "--corpus=queries", folder=tmp_path)
    assert "closed loop" in done.stderr, done.stderr
    found = json.loads((tmp_path / "plan.json").read_text())
    assert "<svg" in (tmp_path / "plan.html").read_text()
    assert done.returncode == (1 if found["problem"] else 0), done.stderr
    if found["problem"]:
        assert re.search("the generator fell behind|no rate keeps|this host is too busy", found["problem"])
        assert f"incomplete: {found['problem']}" in done.stdout
        return
    assert "so far: " in done.stderr
    assert "one replica holds" in done.stdout
    capacity = found["capacity"]
    assert 0 < capacity["low_per_s"] <= capacity["rate_per_s"] <= capacity["high_per_s"]
    reached_per_s = max(window["achieved_per_s"] for window in found["windows"] if window["loop"] == "closed")
    assert capacity["rate_per_s"] <= reached_per_s
    assert len(found["predictions"]) <= 2
    assert found["sizing"]["replicas"] == found["sizing"]["needed"] + 1
    assert found["tokens_per_request"] == pytest.approx(11, rel=0.3)
    assert found["bottleneck"]["limit"] == "unknown"  # it has no metrics


def test_an_impossible_target_has_a_report_and_an_exit_code(known_url, tmp_path):
    done = plan(
        "--model=fake", f"--url={known_url}", "--p99=1ms", "--window=200ms", "--time-limit=20s", folder=tmp_path
    )
    assert done.returncode == 1
    assert "incomplete: " in done.stdout
    assert (tmp_path / "plan.html").exists()


def test_a_report_has_no_text_of_the_corpus(known_url, tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"text": f"canary-4711 is in text {number}"}) + "\n" for number in range(50)))
    options = ["--model=fake", f"--url={known_url}", "--p99=1ms", "--window=200ms", "--time-limit=20s", "--keep-texts"]
    done = plan(*options, f"--corpus={corpus}", folder=tmp_path)
    assert (tmp_path / "plan.html").exists(), done.stderr
    written = {path.name: path.read_text() for path in tmp_path.iterdir() if path != corpus}
    written |= {"stdout": done.stdout, "stderr": done.stderr}
    assert [name for name, content in written.items() if "canary-4711" in content] == []


def test_ctrl_c_writes_what_was_measured(known_url, tmp_path):
    command = [sys.executable, "-c", PLAN, "--model=fake", f"--url={known_url}", "--p99=300ms", "--window=2s"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as planning:
        for line in planning.stderr:
            if "2 users" in line:
                planning.send_signal(signal.SIGINT)
                break
        planning.stderr.read()
    assert planning.returncode == 130
    found = json.loads((tmp_path / "plan.json").read_text())
    assert [window["users"] for window in found["windows"]][:2] == [1, 2]
    assert "interrupted" in (tmp_path / "plan.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--url=127.0.0.1:9", "--model=fake"], "127.0.0.1:9 is down"),
        (["--model=other"], "no pipeline 'other' that is ready; those that are: fake"),
        (["--model=fake", "--corpus=bad.jsonl"], "bad.jsonl line 2 is no JSON"),
        (["--model=fake", "--report=nowhere/plan.html"], "there is no folder nowhere"),
        (["--model=fake", "--simulate=bad.jsonl"], "bad.jsonl line 1: "),
    ],
)
def test_bad_input_is_explained(known_url, tmp_path, options, message):
    (tmp_path / "bad.jsonl").write_text('"fine"\nnot fine\n')
    done = plan(f"--url={known_url}", "--p99=1s", *options, folder=tmp_path)
    assert done.returncode == 3
    assert message in done.stderr
    assert not (tmp_path / "plan.html").exists()


@pytest.mark.parametrize(("p99", "code", "mark"), [("10s", 0, "held"), ("1ms", 1, "MISSED")])
def test_a_check_has_a_line_and_an_exit_code(known_url, tmp_path, p99, code, mark):
    target = f"{{model: fake, url: '{known_url}', rate: 20, p99: {p99}, duration: 2s}}"
    (tmp_path / "slo.yaml").write_text(f"targets: [{target}]\n")
    done = plan("--check=slo.yaml", folder=tmp_path)
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith(mark)
    assert len(done.stdout.splitlines()) == 1


def locust(*options: str, host: str) -> list[str]:
    file = str(ROOT / "loadtest" / "locustfile.py")
    return [sys.executable, "-m", "locust", "-f", file, f"--host={host}", "--model=fake", "--corpus=queries", *options]


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--max-p99=1ms"], 1), (["--model=other"], 2)])
def test_locust_ends_with_the_code_of_its_thresholds(known_url, options, code):
    command = locust("--headless", "-u", "4", "-r", "4", "-t", "8s", "--only-summary", *options, host=known_url)
    done = subprocess.run(command, text=True, capture_output=True, timeout=300)
    assert done.returncode == code, done.stderr
    if code == 0:
        assert re.search(r"embed, short +[1-9]", done.stdout + done.stderr)


def test_locust_counts_failures_by_their_type(known_url):
    command = locust("--headless", "-u", "2", "-t", "4s", "--only-summary", "--model=flaky", host=known_url)
    done = subprocess.run(command, text=True, capture_output=True, timeout=300)
    assert done.returncode == 1, done.stderr
    assert re.search(r"gRPC +embed, short.*Overloaded\(", done.stdout + done.stderr)


def test_locust_without_a_request_proves_nothing(known_url):
    command = locust("--headless", "-u", "0", "-t", "3s", "--only-summary", host=known_url)
    done = subprocess.run(command, text=True, capture_output=True, timeout=300)
    assert done.returncode == 1
    assert "no request was answered or refused" in done.stderr


def test_locust_says_that_there_is_no_server():
    command = locust("--headless", "-u", "1", "-t", "60s", "--only-summary", host="127.0.0.1:9")
    done = subprocess.run(command, text=True, capture_output=True, timeout=300)
    assert done.returncode == 2
    assert "127.0.0.1:9 is down" in done.stderr


@pytest.mark.slow
def test_locust_runs_on_a_master_and_workers(known_url):
    port = "25571"
    workers = [
        subprocess.Popen(locust("--worker", "--master-port", port, host=known_url), stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    options = ["--master", "--master-bind-port", port, "--expect-workers", "2", "--headless", "-u", "4", "-t", "4s"]
    done = subprocess.run(locust(*options, host=known_url), text=True, capture_output=True, timeout=300)
    assert [worker.wait(60) for worker in workers] == [0, 0]
    assert done.returncode == 0, done.stderr
    assert re.search(r"embed, short +[1-9]", done.stdout + done.stderr)


@pytest.mark.slow
def test_a_plan_against_triton(minilm, tmp_path):
    options = [
        "--model=minilm",
        f"--url={minilm.grpc_url}",
        f"--metrics-url={minilm.metrics_url}",
        "--window=1s",
        "--time-limit=3min",
    ]
    tune = ["--tune", f"--repository={minilm.config.repository}"]
    done = plan(*options, "--p99=2s", "--rate=1000", *tune, folder=tmp_path)
    found = json.loads((tmp_path / "plan.json").read_text())
    assert found["problem"] == "" or "this host is too busy" in found["problem"], done.stderr
    assert done.returncode == (1 if found["problem"] else 0)
    assert [step["name"] for step in found["steps"]] == ["tokenize", "encode", "head"]
    measured = [window for window in found["windows"] if window["rate_per_s"]]
    for window in measured:
        assert set(window["steps"]) == {"tokenize", "encode", "head"}
        assert all(step["compute_s"] > 0 for step in window["steps"].values())
    assert found["bottleneck"]["limit"] in ("tokenize", "queue", "compute", "client")
    assert len(found["tuning"]["trials"]) >= 1
    assert len(found["tuning"]["trials"]) + len(found["tuning"]["untried"]) == 6
