"""What an operator sets of the shared rows, in the environment of the steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

URL = "ENCSERVE_SHARED_ROWS_URL"
"""The environment variable that names the cache, redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], or valkey:// and so
on; without it there is none."""
SECRET_FILE = "ENCSERVE_SHARED_ROWS_SECRET_FILE"
"""The one that names the file with the secret, which all servers have that share rows, and the cache has not."""
BUDGET_MS = "ENCSERVE_SHARED_ROWS_BUDGET_MS"
"""The one with the milliseconds that a look-up may take."""
TTL_S = "ENCSERVE_SHARED_ROWS_TTL_S"
"""The one with the seconds that the cache keeps a row."""
LEAST_SECRET = 16
"""The bytes that a secret must have at least."""
_SCHEMES = ("redis", "valkey")


@dataclass(frozen=True, kw_only=True)
class SharedSettings:
    """Which cache, and how."""

    host: str
    port: int
    database: int
    user: str
    password: str
    secret: bytes
    budget_s: float = 0.005
    ttl_s: int = 86_400


def shared_settings(environment: Mapping[str, str]) -> SharedSettings | None:
    """Return the settings of the cache; None where the environment names none.

    Raises:
        ValueError: something is set to what it cannot be; the message names the variable, and no password.
    """
    if not environment.get(URL):
        return None
    try:
        url = urlsplit(environment[URL])
        port, database = url.port or 6379, int(url.path.strip("/") or 0)
    except ValueError:
        url, port, database = urlsplit(""), 0, 0
    if url.scheme not in _SCHEMES or not url.hostname or database < 0:
        raise ValueError(f"{URL} is no redis://HOST:PORT/DATABASE or valkey://HOST:PORT/DATABASE")
    return SharedSettings(
        host=url.hostname,
        port=port,
        database=database,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        secret=_secret(environment),
        budget_s=_number(environment, BUDGET_MS, 5.0, most=1_000) / 1_000,
        ttl_s=int(_number(environment, TTL_S, 86_400, most=10**9)),
    )


def _secret(environment: Mapping[str, str]) -> bytes:
    file = environment.get(SECRET_FILE)
    if not file:
        raise ValueError(f"{URL} is set, and {SECRET_FILE} is not: shared rows need a secret, which the cache has not")
    try:
        secret = Path(file).read_bytes().strip()
    except OSError as error:
        raise ValueError(f"{SECRET_FILE} is {file!r}, which cannot be read: {error.strerror}") from error
    if len(secret) < LEAST_SECRET:
        raise ValueError(f"{SECRET_FILE} has {len(secret)} bytes; {LEAST_SECRET} are the least")
    return secret


def _number(environment: Mapping[str, str], name: str, default: float, *, most: float) -> float:
    text = environment.get(name)
    try:
        number = float(text) if text else default
    except ValueError:
        number = -1.0
    if not 1 <= number <= most:
        raise ValueError(f"{name} is {text!r}, expected a number from 1 to {most:g}")
    return number
