"""TLS and mutual TLS of a real server's gRPC port."""

import socket

import pytest
from certificates import Authority
from toy_repository import write_toy
from toy_server import make_config

from encserve import Client, Retry, Tls, Unavailable
from encserve_server.errors import ConfigError
from encserve_server.launcher.server import TritonServer
from encserve_server.tls import ServerTls


def listing(url, tls):
    """The SDK against the toy pipeline, which has no vectors to give."""
    with Client(url, tls=tls, retry=Retry(attempts=1), timeout_s=120) as client:
        return [pipeline.name for pipeline in client.models()]


def check(url, pipeline, *, tls):
    assert listing(url, tls) == [pipeline.name]


@pytest.fixture
def toy(tmp_path):
    write_toy(tmp_path)
    return tmp_path


def test_tls(toy, authority):
    issued = authority.issue("server", names="DNS:triton.example.org,DNS:localhost")  # no 127.0.0.1: our probe manages
    tls = ServerTls(cert=issued.cert, key=issued.key)
    with TritonServer(make_config(toy, tls=tls, host="0.0.0.0"), probe=check) as server:
        url = f"localhost:{server.config.grpc_port}"
        assert listing(url, Tls(ca_file=authority.cert)) == ["toy"]
        for refused in (None, Tls(), Tls(ca_file=authority.cert, server_name="other.example.org")):
            with pytest.raises(Unavailable):
                listing(url, refused)
        assert server.http_url == f"http://127.0.0.1:{server.config.http_port}"
        with (
            pytest.raises(OSError, match="refused"),
            socket.create_connection(("127.0.0.2", server.config.http_port), timeout=10),
        ):
            pass  # 0.0.0.0 would have answered: texts do not leave this host over plain HTTP


def test_mutual_tls(toy, authority, tmp_path_factory):
    issued, probe, caller = (authority.issue(name) for name in ("server", "probe", "caller"))
    stranger = Authority(tmp_path_factory.mktemp("stranger"), "stranger").issue("caller")
    tls = ServerTls(
        cert=issued.cert, key=issued.key, client_ca=authority.cert, probe_cert=probe.cert, probe_key=probe.key
    )
    with TritonServer(make_config(toy, tls=tls), probe=check) as server:

        def identified(by):
            return Tls(ca_file=authority.cert, cert_file=by.cert, key_file=by.key)

        assert listing(server.grpc_url, identified(caller)) == ["toy"]
        for refused in (None, Tls(ca_file=authority.cert), identified(stranger)):
            with pytest.raises(Unavailable):
                listing(server.grpc_url, refused)


def test_a_wrong_key_is_refused_before_the_start(toy, authority):
    one, other = authority.issue("one"), authority.issue("other")
    tls = ServerTls(cert=one.cert, key=other.key)
    with pytest.raises(ConfigError, match="is not the key of"), TritonServer(make_config(toy, tls=tls), probe=check):
        pass
