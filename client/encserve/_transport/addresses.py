"""Where servers are: one address, several, or a name that stands for several."""

from __future__ import annotations

import re
from collections.abc import Sequence

from encserve._errors import InvalidInput
from encserve._transport.admin_secret import is_loopback

DEFAULT_URL = "localhost:8001"
"""Where `encserve serve` and stock Triton listen for gRPC."""

_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^\s:/,\[\]]+):(?P<port>\d{1,5})")
_DNS = "dns:///"
_API_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{8,}")


def read_addresses(url: str | Sequence[str]) -> tuple[str, ...]:
    """The addresses of the replicas: "host:port", several of them in a list or with commas between, or
    "dns:///host:port" for all that the name stands for.

    Raises:
        InvalidInput: an address is none of these, or there is none.
    """
    addresses = tuple(url.split(",") if isinstance(url, str) else url)
    for address in addresses or ("",):
        match = _ADDRESS.fullmatch(address.removeprefix(_DNS)) if isinstance(address, str) else None
        if match is None or not 0 < int(match["port"]) < 65536:
            raise InvalidInput(
                f'url is {url!r}, expected "host:port" of the gRPC endpoint, such as "localhost:8001", several of '
                'them, or "dns:///host:port"'
            )
    return addresses


def stands_for_several(address: str) -> bool:
    """Whether gRPC looks an address up and spreads requests over all that it finds."""
    return address.startswith(_DNS)


def host_of(address: str) -> str:
    """The host of an address, as it is written."""
    return address.removeprefix(_DNS).rpartition(":")[0]


def check_api_key(key: str) -> None:
    """Refuse a key that cannot be sent.

    Raises:
        InvalidInput: the message does not repeat the key.
    """
    if not _API_KEY.fullmatch(key):
        raise InvalidInput("api_key must be 8 or more letters, digits and characters of . _ ~ + / = -, without spaces")


def check_is_secret(name: str, addresses: Sequence[str], *, encrypted: bool) -> None:
    """Refuse to send a secret, which the caller calls `name`, where it would be readable on its way.

    Raises:
        InvalidInput: the connection is plain and leads to another host.
    """
    far = [address for address in addresses if not is_loopback(host_of(address))]
    if far and not encrypted:
        raise InvalidInput(f"the {name} would travel to {far[0]} unencrypted: give tls=Tls() (--tls) as well")
