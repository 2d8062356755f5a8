"""A server on one address of this host that other hosts reach, too: its launcher administers it in plain text."""

import argparse
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import grpc
import pytest
from host_address import ELSEWHERE, own_address
from tritonclient.grpc import service_pb2, service_pb2_grpc

from encserve import InvalidInput
from encserve_server import promote
from encserve_server.administration.channel import Administration
from encserve_server.errors import PromotionFailed
from encserve_server.host.own_address import is_of_this_host
from encserve_server.questions import open_asker

SECRET = "a-secret-of-this-test"


class Triton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Tells what it was shown."""

    def __init__(self):
        self.shown = []

    def RepositoryIndex(self, proto, context):
        self.shown.append(dict(context.invocation_metadata()).get("triton-grpc-protocol-encserve-admin"))
        return service_pb2.RepositoryIndexResponse()


@pytest.fixture
def triton():
    return Triton()


@pytest.fixture
def url(triton):
    server = grpc.server(ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    port = server.add_insecure_port(f"{own_address()}:0")
    server.start()
    yield f"{own_address()}:{port}"
    server.stop(None)


def test_the_administration_of_ones_own_server_needs_no_tls(triton, url):
    with closing(Administration(url, admin_secret=SECRET)) as administration:
        assert administration.unloading(timeout_s=30) == set()
    assert triton.shown == [SECRET]


def test_nor_does_the_list_of_its_pipelines_that_the_watch_asks_for(triton, url):
    with open_asker(url, tls=None, timeout_s=30, admin_secret=SECRET) as asker:
        assert asker.models() == []
    assert triton.shown == [SECRET]


def test_nor_does_a_promotion(triton, url, tmp_path, monkeypatch):
    monkeypatch.setenv("ENCSERVE_ADMIN_SECRET", SECRET)
    (tmp_path / "minilm").mkdir()
    (tmp_path / "minilm" / "config.pbtxt").touch()
    parser = argparse.ArgumentParser()
    promote.add_arguments(parser)
    with pytest.raises(PromotionFailed, match="the server serves no pipeline 'minilm'"):
        promote.run(parser.parse_args(["minilm", "2", f"--repository={tmp_path}", f"--url={url}"]))
    assert triton.shown == [SECRET]


def test_to_another_host_the_secret_goes_in_no_plain_text():
    with (
        closing(Administration(f"{ELSEWHERE}:8001", admin_secret=SECRET)) as administration,
        pytest.raises(InvalidInput, match=f"would travel to {ELSEWHERE}:8001 unencrypted"),
    ):
        administration.unloading(timeout_s=30)


@pytest.mark.parametrize(
    ("address", "is_own"),
    [
        ("127.0.0.1:8001", True),
        ("127.8.9.10:8001", True),
        (f"{ELSEWHERE}:8001", False),
        ("255.255.255.255:8001", False),
        ("dns:///127.0.0.1:8001", False),
        ("localhost:8001", False),
        ("example.org:8001", False),
    ],
)
def test_an_address_is_of_this_host_where_the_kernel_says_so(address, is_own):
    """A name is looked up by nobody here: whoever answers for it may be elsewhere by the time of the next look."""
    assert is_of_this_host(address) is is_own


def test_an_address_is_of_this_host_on_every_port():
    assert is_of_this_host(f"{own_address()}:1")
