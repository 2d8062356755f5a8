import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc

from .playing_triton import Triton, playing


@pytest.fixture
def triton():
    return Triton()


@pytest.fixture
def url(triton):
    with playing(triton) as address:
        yield address


@pytest.fixture
def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]  # bound, but nobody listens


@pytest.fixture
def encrypted_port(triton, authority):
    """The port of a server that encrypts, and knows its clients where `clients` are given."""
    servers = []

    def start(*, clients=None):
        own = authority.issue("server")
        credentials = grpc.ssl_server_credentials(
            [(own.key.read_bytes(), own.cert.read_bytes())],
            root_certificates=clients.cert.read_bytes() if clients else None,
            require_client_auth=clients is not None,
        )
        servers.append(grpc.server(ThreadPoolExecutor(8)))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, servers[-1])
        port = servers[-1].add_secure_port("127.0.0.1:0", credentials)
        servers[-1].start()
        return port

    yield start
    for server in servers:
        server.stop(None).wait()
