"""What the ports of a real server refuse to whoever does not have the secret that was made at its start."""

import json
import urllib.error
import urllib.request

import grpc
import pytest
from toy_repository import write_toy
from toy_server import ask, make_config
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from encserve import ADMIN_KEY, local_admin_secret
from encserve_server.launcher.server import TritonServer

RESTRICTED = {
    "RepositoryIndex": pb.RepositoryIndexRequest(),
    "RepositoryModelLoad": pb.RepositoryModelLoadRequest(model_name="toy"),
    "RepositoryModelUnload": pb.RepositoryModelUnloadRequest(model_name="absent"),
    "ModelStatistics": pb.ModelStatisticsRequest(),
    "TraceSetting": pb.TraceSettingRequest(),
    "LogSettings": pb.LogSettingsRequest(),
    "SystemSharedMemoryStatus": pb.SystemSharedMemoryStatusRequest(),
    "SystemSharedMemoryUnregister": pb.SystemSharedMemoryUnregisterRequest(),
    "CudaSharedMemoryStatus": pb.CudaSharedMemoryStatusRequest(),
    "CudaSharedMemoryUnregister": pb.CudaSharedMemoryUnregisterRequest(),
}
OPEN = {
    "ServerReady": pb.ServerReadyRequest(),
    "ModelReady": pb.ModelReadyRequest(name="toy"),
    "ServerMetadata": pb.ServerMetadataRequest(),
    "ModelMetadata": pb.ModelMetadataRequest(name="toy"),
    "ModelConfig": pb.ModelConfigRequest(name="toy"),
}
RESTRICTED_PATHS = [
    ("POST", "/v2/repository/index"),
    ("POST", "/v2/repository/models/toy/load"),
    ("POST", "/v2/repository/models/absent/unload"),
    ("GET", "/v2/models/stats"),
    ("GET", "/v2/models/toy/versions/1/stats"),
    ("GET", "/v2/trace/setting"),
    ("POST", "/v2/models/toy/trace/setting"),
    ("GET", "/v2/logging"),
    ("POST", "/v2/logging"),
    ("GET", "/v2/systemsharedmemory/status"),
    ("POST", "/v2/systemsharedmemory/region/x/register"),
    ("GET", "/v2/cudasharedmemory/status"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    repository = tmp_path_factory.mktemp("toy")
    write_toy(repository)
    with TritonServer(make_config(repository), probe=ask) as running:
        yield running


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.grpc_url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.mark.parametrize("call", RESTRICTED)
@pytest.mark.parametrize("metadata", [(), ((f"triton-grpc-protocol-{ADMIN_KEY}", "a guess"),)])
def test_administration_over_grpc_needs_the_secret(server, stub, call, metadata):
    with pytest.raises(grpc.RpcError, match="This protocol is restricted") as refused:
        getattr(stub, call)(RESTRICTED[call], timeout=120, metadata=metadata)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE  # so Triton says; the SDK makes AccessDenied of it
    right = ((f"triton-grpc-protocol-{ADMIN_KEY}", server.admin_secret),)
    getattr(stub, call)(RESTRICTED[call], timeout=120, metadata=right)


@pytest.mark.parametrize("call", OPEN)
def test_what_callers_need_is_open(stub, call):
    getattr(stub, call)(OPEN[call], timeout=120)


@pytest.mark.parametrize(("method", "path"), RESTRICTED_PATHS)
def test_administration_over_http_needs_the_secret(server, method, path):
    for headers in ({}, {ADMIN_KEY: "a guess"}):
        status, body = http(server, method, path, headers)
        assert status == 403
        assert "restricted" in json.loads(body)["error"]
    status = http(server, method, path, {ADMIN_KEY: server.admin_secret})[0]
    assert status in (200, 400)  # an empty body is no region, and no setting


def http(server, method, path, headers):
    body = b"{}" if method == "POST" else None
    request = urllib.request.Request(server.http_url + path, method=method, headers=headers, data=body)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def test_the_secret_is_in_a_file_of_this_user_and_new_for_each_server(server):
    assert local_admin_secret(server.grpc_url) == server.admin_secret
    assert len(server.admin_secret) >= 43  # 256 bits
    assert TritonServer(server.config).admin_secret != server.admin_secret
