"""The queue that the encode step of a C++ backend gets, in a real Triton: when it is full, and when a timeout passes.

No such backend is needed for it: Triton schedules a step in Python alike.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import toy_repository
import tritonclient.grpc
from serving import serve_config
from toy_repository import write_toy
from tritonclient.utils import InferenceServerException

from encserve_export.backend_queue import add_queue
from encserve_export.triton_config import from_text, to_text
from encserve_server.server import TritonServer

GATED = """
import time
from pathlib import Path

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    folder = None

    def initialize(self, args):
        {initialize}

    def execute(self, requests):
        responses = []
        for request in requests:
            text = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
            if self.folder:
                (self.folder / ("has " + text.ravel()[0].decode())).touch()
                while not (self.folder / "open").exists():
                    time.sleep(0.01)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("text", text)]))
        return responses
"""
"""An encode step that computes nothing until the file `open` is in its folder."""

QUEUE_SIZE = 4


@pytest.fixture
def server(tmp_path, monkeypatch):
    repository, folder = tmp_path / "repository", tmp_path
    monkeypatch.setattr(toy_repository, "MODEL", GATED)
    write_toy(repository, initialize=f"self.folder = Path({str(folder)!r})")
    file = repository / "toy_encode" / "config.pbtxt"
    config = from_text(file.read_text())
    add_queue(config)
    config.dynamic_batching.default_queue_policy.max_queue_size = QUEUE_SIZE
    file.write_text(to_text(config))
    with TritonServer(serve_config(repository), probe=lambda *_, **__: None) as running:
        yield running


def ask(server, text, **options):
    """The answer, or why there is none."""
    tensor = tritonclient.grpc.InferInput("text", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[text.encode()]], np.object_))
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        try:
            return client.infer("toy", [tensor], **options).as_numpy("answer").ravel()[0].decode()
        except InferenceServerException as error:
            return f"{error.status()}: {error.message()}"


def wait_until(condition):
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def computed(folder):
    return {file.name.removeprefix("has ") for file in folder.glob("has *")}


def test_beyond_its_bound_requests_are_refused_at_once(server, tmp_path):
    texts = [f"text{number}" for number in range(20)]
    with ThreadPoolExecutor(len(texts)) as callers:
        calls = [callers.submit(ask, server, text) for text in texts]
        wait_until(lambda: sum(call.done() for call in calls) >= len(texts) - QUEUE_SIZE - 2)  # nothing is computed yet
        refused = [call.result() for call in calls if call.done()]
        (tmp_path / "open").touch()
        answers = {call.result() for call in calls} - set(refused)
    assert all(each.startswith("StatusCode.UNAVAILABLE: ") and "maximum queue size" in each for each in refused)
    assert len(answers) >= QUEUE_SIZE
    assert answers == computed(tmp_path)


def test_what_waits_past_its_timeout_is_not_computed(server, tmp_path):
    with ThreadPoolExecutor(3) as callers:
        first = callers.submit(ask, server, "first")
        wait_until(lambda: computed(tmp_path) == {"first"})
        late = callers.submit(ask, server, "late", timeout=300_000)  # microseconds
        patient = callers.submit(ask, server, "patient")
        time.sleep(1)
        (tmp_path / "open").touch()
        assert late.result() == "StatusCode.UNAVAILABLE: in ensemble 'toy', Request timeout expired"
        assert (first.result(), patient.result()) == ("first", "patient")
    assert computed(tmp_path) == {"first", "patient"}
