"""What Triton tells of a cancelled request: nothing to a step of an ensemble, so the client does.

When this fails, Triton has learned to tell: then a step can look by itself, and the message is not needed.
"""

import threading
import time

import numpy as np
import pytest
import toy_repository
import tritonclient.grpc
from serving import serve_config
from toy_repository import write_toy

from encserve_server.launcher.server import TritonServer

HOLDING = """
import threading
import time
from pathlib import Path

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        {initialize}

    def execute(self, requests):
        for request in requests:
            text = pb_utils.get_input_tensor_by_name(request, "text").as_numpy().copy()
            threading.Thread(target=self.hold, args=(request, request.get_response_sender(), text)).start()
        return [None] * len(requests)

    def hold(self, request, sender, text):
        folder = Path(text.ravel()[0].decode())
        (folder / "holds").touch()
        while not (folder / "release").exists():
            if request.is_cancelled() or sender.is_cancelled():
                (folder / "told").touch()
            time.sleep(0.01)
        sender.send(
            pb_utils.InferenceResponse([pb_utils.Tensor("text", text)]),
            flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL,
        )
"""
"""A step that holds each request until the file `release` is in the folder that its text names."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    repository = tmp_path_factory.mktemp("holding")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy_repository, "MODEL", HOLDING)
        write_toy(repository)
    with TritonServer(serve_config(repository), probe=lambda *_, **__: None) as running:
        yield running


def wait_for(file):
    deadline_s = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline_s, file
        time.sleep(0.01)


@pytest.mark.parametrize(("model", "is_told"), [("toy_tokenize", True), ("toy", False)])
def test_who_is_told_of_a_cancelled_request(server, tmp_path, model, is_told):
    text = tritonclient.grpc.InferInput("text", [1, 1], "BYTES")
    text.set_data_from_numpy(np.array([[str(tmp_path).encode()]], np.object_))
    ended = threading.Event()
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        call = client.async_infer(model, [text], callback=lambda result, error: ended.set())
        wait_for(tmp_path / "holds")
        call.cancel()
        assert ended.wait(60)
        if is_told:
            wait_for(tmp_path / "told")
        else:
            time.sleep(1)  # a hundred looks
        (tmp_path / "release").touch()
    assert (tmp_path / "told").exists() == is_told
