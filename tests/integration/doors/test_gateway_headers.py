"""What nginx of deploy/gateway takes out of the headers of calls, as a stand-in for Triton sees them."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import pytest
from edge import DEPLOYED, Gateway
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from encserve import ADMIN_KEY

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx: apt-get install nginx")

SECRET = f"triton-grpc-protocol-{ADMIN_KEY}"
FORGED = {SECRET: "forged", "traceparent": f"00-{1:032x}-00f067aa0ba902b7-01", "triton_grpc_error": "true"}


class Triton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Keeps the headers of the last call."""

    def see(self, context):
        self.headers = dict(context.invocation_metadata())

    def ModelInfer(self, request, context):
        self.see(context)
        return pb.ModelInferResponse()

    def RepositoryIndex(self, request, context):
        self.see(context)
        return pb.RepositoryIndexResponse()

    def ModelStreamInfer(self, requests, context):
        self.see(context)
        yield from (pb.ModelStreamInferResponse() for _ in requests)


@pytest.fixture(scope="module")
def triton():
    seen, server = Triton(), grpc.server(ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(seen, server)
    port = server.add_insecure_port("127.0.0.1:0")
    seen.config, seen.admin_secret = SimpleNamespace(grpc_port=port, http_port=port), "of-the-operator"
    server.start()
    yield seen
    server.stop(None)


@pytest.fixture(scope="module", params=["with the secret", "without"])
def told(request, triton, authority, tmp_path_factory):
    """Asks through a gateway that lets streams pass, and says which forged headers arrived, with which values."""
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), triton, authority)
    shutil.copy(DEPLOYED / "streams.conf", gateway.folder / "settings")
    gateway.has_secret = request.param == "with the secret"
    if not gateway.has_secret:
        (gateway.folder / "settings/admin_secret.conf").unlink()
    metadata = (("authorization", f"Bearer {gateway.new_key('alice')}"), *FORGED.items())
    credentials = grpc.ssl_channel_credentials(authority.cert.read_bytes())
    with gateway, grpc.secure_channel(gateway.url, credentials) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

        def ask(call, request):
            answer = getattr(stub, call)(request, timeout=60, metadata=metadata)
            if call == "ModelStreamInfer":
                assert len(list(answer)) == 1
            return {name: value for name, value in triton.headers.items() if name in FORGED}

        ask.has_secret = gateway.has_secret
        yield ask


def test_no_header_of_a_caller_reaches_triton_that_is_not_his_to_send(told):
    assert told("ModelInfer", pb.ModelInferRequest()) == {}
    assert told("ModelStreamInfer", iter([pb.ModelInferRequest()])) == {}


def test_the_secret_of_a_list_of_pipelines_is_the_operators(told):
    expected = {SECRET: "of-the-operator"} if told.has_secret else {}
    assert told("RepositoryIndex", pb.RepositoryIndexRequest()) == expected
