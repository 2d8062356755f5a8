"""Ports, checked by binding them."""

import errno
import socket
from collections.abc import Mapping
from contextlib import ExitStack

from encserve_server.config import LOOPBACK
from encserve_server.errors import PortTaken


def check_ports(host: str, ports: Mapping[str, int]) -> None:
    """Bind each port for a moment. `ports` maps the flag that changes a port to the port.

    Raises:
        PortTaken: names the first port that cannot be bound, and its flag.
    """
    for flag, port in ports.items():
        try:
            _listen(host, port).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                message = f"port {port} on {host} is taken by another process: choose another with {flag}"
            else:
                message = f"port {port} on {host} cannot be bound ({error.strerror}): choose another with {flag}"
            raise PortTaken(message) from error


def free_ports(count: int) -> tuple[int, ...]:
    """Return `count` distinct ports of loopback that are free now."""
    with ExitStack() as sockets:  # held until the last is known, so that they differ
        listening = [sockets.enter_context(_listen(LOOPBACK, 0)) for _ in range(count)]
        return tuple(each.getsockname()[1] for each in listening)


def replace_taken_ports(ports: Mapping[str, int]) -> tuple[dict[str, int], tuple[int, ...]]:
    """Keep the ports of loopback that are free, and put a free one in the place of each that is taken.

    Returns the ports under the same keys, and those that were taken.
    """
    chosen, taken = {}, []
    with ExitStack() as sockets:  # held until the last is known, so that they differ
        for key, port in ports.items():
            try:
                listening = _listen(LOOPBACK, port)
            except OSError:
                taken.append(port)
                listening = _listen(LOOPBACK, 0)
            chosen[key] = sockets.enter_context(listening).getsockname()[1]
    return chosen, tuple(taken)


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # As Triton does: connections that linger after an earlier server do not make a port taken.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening
