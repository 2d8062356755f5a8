"""Which server a command asks, and what it shows there to be let in."""

import argparse
import os
from pathlib import Path

from encserve._client import Client
from encserve._retry import Retry
from encserve._settings import DEFAULT_URL
from encserve._tls import Tls


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the server."""
    parser.add_argument("--url", default=DEFAULT_URL, help="gRPC endpoint of the server (default: %(default)s)")
    parser.add_argument("--timeout-s", type=float, help="seconds that a request may take (default: 30)")
    parser.add_argument("--tls", action="store_true", help="encrypt, and trust the public authorities")
    parser.add_argument("--tls-ca", type=Path, metavar="FILE", help="encrypt, and trust these authorities (PEM)")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="our certificate, where the server wants one")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the private key of --tls-cert")


def open_client(arguments: argparse.Namespace, *, timeout_s: float = 30.0, retry: Retry | None = None) -> Client:
    """A client of the server. Secrets come from the environment: what stands on a command line, all users can read."""
    files = (arguments.tls_ca, arguments.tls_cert, arguments.tls_key)
    encrypted = arguments.tls or any(file is not None for file in files)
    return Client(
        arguments.url,
        timeout_s=timeout_s,
        retry=retry or Retry(),
        tls=Tls(ca_file=files[0], cert_file=files[1], key_file=files[2]) if encrypted else None,
        api_key=os.environ.get("ENCSERVE_API_KEY"),
        admin_secret=os.environ.get("ENCSERVE_ADMIN_SECRET"),
    )
