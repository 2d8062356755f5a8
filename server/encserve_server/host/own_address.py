"""Whether what is sent to an address stays on this host: then a secret may go there in plain text."""

import ipaddress
import socket

from encserve import GrpcTransport


class OwnHostTransport(GrpcTransport):
    """A channel that takes every IPv4 address of this host for as safe as loopback.

    A server that is bound to one address of its host cannot be reached by loopback, and its launcher must administer it
    all the same.
    """

    def _is_private(self, address: str) -> bool:
        """Return whether nobody can read on its way what is sent to `address`, "host:port"."""
        return super()._is_private(address) or is_of_this_host(address)


def is_of_this_host(address: str) -> bool:
    """Return whether the host of `address`, "host:port", is an IPv4 address of this host.

    Asks the kernel for the way to it, which sends nothing: for an address of its own, loopback apart, the source is the
    address itself. Binding would not tell, since hosts with `net.ipv4.ip_nonlocal_bind` bind any address.
    """
    host, _, port = address.rpartition(":")
    try:
        if ipaddress.IPv4Address(host).is_loopback:
            return True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, int(port)))
            source: str = probe.getsockname()[0]
            return source == host
    except (OSError, ValueError):  # no IPv4 address, or no way to it
        return False
