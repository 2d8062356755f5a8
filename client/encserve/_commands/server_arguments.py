"""Which server a command asks, and how it gets in."""

import argparse
from pathlib import Path

from encserve._client import Client
from encserve._commands.access import Access, read_access
from encserve._conversation.settings import TIMEOUT_S
from encserve._transport.addresses import DEFAULT_URL


def add_server_arguments(parser: argparse.ArgumentParser, *, timeout_s: float = TIMEOUT_S) -> None:
    """Declare the server, and the time it has: `timeout_s` unless the arguments say otherwise."""
    add_endpoint_arguments(parser)
    parser.add_argument(
        "--timeout-s",
        type=float,
        metavar="N",
        default=timeout_s,
        help="seconds that the call may take; of lines that are read as they come, and of more than 1,024 texts, "
        "seconds for each request (default: %(default)g)",
    )


def add_endpoint_arguments(parser: argparse._ActionsContainer) -> None:
    """Declare the server, of a command or of a group of its options."""
    parser.add_argument("--url", default=DEFAULT_URL, help="gRPC endpoint of the server (default: %(default)s)")
    add_tls_arguments(parser)


def add_tls_arguments(parser: argparse._ActionsContainer) -> None:
    """Declare how the connection to a server is encrypted."""
    parser.add_argument("--tls", action="store_true", help="encrypt, and trust the public authorities")
    parser.add_argument("--tls-ca", type=Path, metavar="FILE", help="encrypt, and trust these authorities (PEM)")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="our certificate, where the server wants one")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the private key of --tls-cert")


def access_of(arguments: argparse.Namespace) -> Access:
    """The access that the arguments and the environment give."""
    return read_access(
        encrypted=arguments.tls,
        ca_file=arguments.tls_ca,
        cert_file=arguments.tls_cert,
        key_file=arguments.tls_key,
    )


def open_client(arguments: argparse.Namespace) -> Client:
    """A client of the server, whose calls have the time that the arguments give."""
    access = access_of(arguments)
    return Client(
        arguments.url,
        timeout_s=arguments.timeout_s,
        tls=access.tls,
        api_key=access.api_key,
        admin_secret=access.admin_secret,
    )
