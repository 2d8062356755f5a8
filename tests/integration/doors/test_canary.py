"""A text that was sent is nowhere in what the system writes: logs, metrics, files, errors of others."""

import json
import shutil
import tempfile
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from edge import Gateway
from fuzz_cases import framed
from serving import serve_config
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from encserve import ADMIN_KEY, Client, EncserveError
from encserve_server.launcher.runtime_folder import SHARED_MEMORY
from encserve_server.launcher.server import TritonServer

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx: apt-get install nginx")

CANARY = "canary-4711-éü"
MARK = b"canary-4711"  # in whatever encoding
TEXT = f"{CANARY} and what else a caller may not want to read again"


def good_and_bad_requests(client):
    """Texts that are answered, cut, and refused for themselves or for their options."""
    client.embed([TEXT], model="minilm")
    client.embed([TEXT * 400], model="minilm", long_text="chunk")
    for arguments in (
        {"texts": [TEXT * 400], "truncate": "error"},
        {"texts": [CANARY * 100_000]},
        {"texts": [TEXT, "\ud800" + TEXT]},
        {"texts": [TEXT], "prompt_name": "absent"},
        {"texts": [TEXT], "dimensions": 10**6},
        {"texts": [TEXT, None]},
    ):
        with suppress(EncserveError):
            client.embed(model="minilm", **arguments)
    with pytest.raises(EncserveError) as refused:
        client.embed([TEXT], model="minilm", truncate="middle")
    assert MARK not in str(refused.value).encode()


def broken_requests(server):
    """What no SDK of ours would send; an error may repeat it to whoever sent it, and to nobody else."""
    with grpc.insecure_channel(server.grpc_url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for raw in (framed([TEXT.encode()])[:-1], framed([MARK + b"\xff"]), TEXT.encode(), framed([b"x" + MARK] * 300)):
            request = pb.ModelInferRequest(model_name="minilm")
            request.inputs.add(name="text", datatype="BYTES", shape=[1, 1])
            request.raw_input_contents.append(raw)
            with pytest.raises(grpc.RpcError) as refused:
                stub.ModelInfer(request, timeout=60)
            assert MARK not in refused.value.details().encode(), refused.value.details()
    tensor = {"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [TEXT]}
    for body in (json.dumps({"inputs": [tensor]}), json.dumps({"inputs": [{**tensor, "shape": [1, 2]}]}), f'{{"{TEXT}'):
        with suppress(urllib.error.HTTPError):
            http(server.http_url + "/v2/models/minilm/infer", body=body.encode())


def http(url, *, body=None, headers=()):
    with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=dict(headers)), timeout=60) as answer:
        return answer.read()


def test_no_text_is_written_anywhere(repository, authority, tmp_path):
    lines = []
    config = serve_config(repository, models=("minilm",), verbose=True)
    with (
        TritonServer(config, report=lines.append) as server,
        Client(server.grpc_url) as client,
        Gateway(tmp_path, server, authority) as gateway,
    ):
        stem = server._folder.stem  # names the runtime folder and the shared memory
        key = gateway.new_key("alice")
        gateway.process.send_signal(1)
        good_and_bad_requests(client)
        broken_requests(server)
        for sent in (key, "wrong" * 20):
            with suppress(EncserveError), gateway.client(api_key=sent) as through:
                good_and_bad_requests(through)
            gateway.http("POST", "/v2/models/minilm/infer", key=sent, body=json.dumps({"inputs": [TEXT]}))
        admin = {ADMIN_KEY: server.admin_secret}
        written = {
            "metrics": http(server.metrics_url),
            "statistics": http(server.http_url + "/v2/models/stats", headers=admin),
            "trace settings": http(server.http_url + "/v2/trace/setting", headers=admin),
            **{f"file {path}": path.read_bytes() for path in files(gateway.folder)},
            **{f"file {path}": path.read_bytes() for path in files(repository)},
            **{f"file {path}": path.read_bytes() for path in files(Path(tempfile.gettempdir()) / stem)},
        }
        assert "file " + str(gateway.folder / "access.log") in written
    written["log"] = "\n".join(lines).encode()
    assert len(written["log"]) > 1_000  # Triton's information messages were asked for
    assert [name for name, content in written.items() if MARK in content] == []
    assert list(SHARED_MEMORY.glob(f"{stem}*")) == []  # where texts are while they are worked on


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]
