import socket

import pytest

from encserve_server.config import LOOPBACK
from encserve_server.errors import PortTaken
from encserve_server.launcher.ports import check_ports, free_ports, replace_taken_ports


@pytest.fixture
def taken_port():
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_free_ports_are_distinct_and_free():
    ports = free_ports(3)
    assert len(set(ports)) == 3
    check_ports(LOOPBACK, {str(port): port for port in ports})


def test_a_taken_port_is_named_with_its_flag(taken_port):
    (free_port,) = free_ports(1)
    with pytest.raises(PortTaken, match=f"port {taken_port} on 127.0.0.1 is taken .* --grpc-port"):
        check_ports(LOOPBACK, {"--http-port": free_port, "--grpc-port": taken_port})


def test_an_address_of_another_host_cannot_be_bound():
    with pytest.raises(PortTaken, match=r"cannot be bound \(Cannot assign requested address\)"):
        check_ports("192.0.2.1", {"--http-port": 8000})


def test_only_taken_ports_are_replaced(taken_port):
    (free_port,) = free_ports(1)
    chosen, taken = replace_taken_ports({"http": free_port, "grpc": taken_port})
    assert chosen["http"] == free_port
    assert chosen["grpc"] not in (free_port, taken_port)
    assert taken == (taken_port,)
