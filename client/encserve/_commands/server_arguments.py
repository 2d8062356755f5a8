"""Which server a command asks, and how it gets in."""

import argparse
from pathlib import Path

from encserve._client import Client
from encserve._commands.access import Access, read_access
from encserve._conversation.retry import Retry
from encserve._transport.addresses import DEFAULT_URL


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the server, and the time it has."""
    add_endpoint_arguments(parser)
    parser.add_argument("--timeout-s", type=float, help="seconds that a request may take (default: 30)")


def add_endpoint_arguments(parser: argparse._ActionsContainer) -> None:
    """Declare the server, of a command or of a group of its options."""
    parser.add_argument("--url", default=DEFAULT_URL, help="gRPC endpoint of the server (default: %(default)s)")
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


def open_client(arguments: argparse.Namespace, *, timeout_s: float = 30.0, retry: Retry | None = None) -> Client:
    """A client of the server."""
    access = access_of(arguments)
    return Client(
        arguments.url,
        timeout_s=timeout_s,
        retry=retry or Retry(),
        tls=access.tls,
        api_key=access.api_key,
        admin_secret=access.admin_secret,
    )
