"""API keys: who may ask, which models, how often, and in which lane. A file has their hashes, and is read again when it
changes."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from encserve import InvalidInput
from encserve_gateway.faults import Fault, Kind
from encserve_gateway.http.request import Request

LOG = logging.getLogger("encserve.gateway")

CHECK_S = 1.0
"""How often the file is looked at, in seconds."""

SETTINGS = frozenset(
    {
        *("name", "sha256", "models", "requests_per_second", "burst", "lane"),
        *("traces", "callers", "expires", "log_share", "log_until"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Key:
    """What the holder of a key may do."""

    name: str
    """What metrics and logs call it."""
    sha256: str
    """The hash of the key, in hexadecimal. A key is to be random, 128 bits or more: a hash of such tells nothing."""
    models: frozenset[str] | None = None
    """The names that it may ask; None for all."""
    requests_per_second: float | None = None
    """How often it may ask in the long run, in each process of the gateway; None for any rate."""
    burst: int = 1
    """How many requests it may make at once before that counts."""
    lane: Literal["interactive", "bulk"] | None = None
    """The lane of all of its requests; None: each has that of its size."""
    traces: bool = False
    """Whether its requests may continue a trace of their caller's."""
    callers: bool = False
    """Whether it stands for many callers, whom its requests name; else all of its requests are of one."""
    expires_unix_s: float | None = None
    """When it ends; None for never."""
    log_share: float = 0.0
    """The share of its requests whose texts are kept, scrubbed, in the sampled log; 0 for none."""
    log_until_unix_s: float | None = None
    """When that ends: no share without an end."""

    def may_ask(self, model: str) -> bool:
        """Whether this name is among its models."""
        return self.models is None or model in self.models


EVERYBODY = Key(name="", sha256="", callers=True)
"""Who asks a gateway without keys."""


def read_keys(file: Path, *, may_log: bool = False) -> dict[str, Key]:
    """The keys of a file, by hash; with `may_log` of a gateway that has a sampled log.

    The file is JSON: `{"keys": [{"name": "alice", "sha256": "..."}]}`, where a key may also have `models` (a list of
    names), `requests_per_second`, `burst`, `lane` ("interactive" or "bulk"), `traces` and `callers` (true or false),
    `expires` (a time with its offset, such as "2027-01-01T00:00:00+00:00"), and `log_share` (more than 0, at most 1)
    with `log_until` (such a time), for a gateway with a sampled log.

    Raises:
        InvalidInput: the file cannot be read, or a key is malformed; the message says which.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        listed = content["keys"]
    except OSError as error:
        raise InvalidInput(f"the keys in {file} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f'{file} is no JSON object with a list "keys"') from error
    if not isinstance(listed, list):
        raise InvalidInput(f'{file} is no JSON object with a list "keys"')
    keys: dict[str, Key] = {}
    for index, each in enumerate(listed):
        try:
            key = _key(each)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"key {index} of {file} is malformed: {error}") from error
        if key.log_share and not may_log:
            raise InvalidInput(f"key {index} of {file} has log_share, and this gateway has no --sampled-log")
        if key.sha256 in keys:
            raise InvalidInput(f"key {index} of {file} is that of {keys[key.sha256].name!r}, too")
        keys[key.sha256] = key
    return keys


def _key(settings: Mapping[str, Any]) -> Key:
    unknown = sorted(settings.keys() - SETTINGS) if isinstance(settings, dict) else ["no object"]
    if unknown:
        raise ValueError(f"unknown setting {unknown[0]!r}")
    sha256, models = str(settings["sha256"]).lower(), settings.get("models")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise ValueError("sha256 has not 64 hexadecimal digits")
    if models is not None and not (isinstance(models, list) and all(isinstance(name, str) for name in models)):
        raise ValueError("models is no list of names")
    rate, burst = settings.get("requests_per_second"), settings.get("burst", 1)
    if rate is not None and (not isinstance(rate, int | float) or isinstance(rate, bool) or rate <= 0):
        raise ValueError("requests_per_second is no positive number")
    if type(burst) is not int or burst < 1:
        raise ValueError("burst is no positive whole number")
    lane = settings.get("lane")
    if lane not in (None, "interactive", "bulk"):
        raise ValueError("lane is neither interactive nor bulk")
    for name in ("traces", "callers"):
        if not isinstance(settings.get(name, False), bool):
            raise ValueError(f"{name} is neither true nor false")
    if not str(settings["name"]).isprintable():
        raise ValueError("name has characters that cannot be printed")
    share = settings.get("log_share")
    if share is not None and (not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share <= 1):
        raise ValueError("log_share is no number above 0 and up to 1")
    if (share is None) != (settings.get("log_until") is None):
        raise ValueError("log_share and log_until are only there together")
    return Key(
        name=str(settings["name"]),
        sha256=sha256,
        models=None if models is None else frozenset(models),
        requests_per_second=rate,
        burst=burst,
        lane=lane,
        traces=settings.get("traces", False),
        callers=settings.get("callers", False),
        expires_unix_s=_time(settings, "expires"),
        log_share=share or 0.0,
        log_until_unix_s=_time(settings, "log_until"),
    )


def _time(settings: Mapping[str, Any], name: str) -> float | None:
    """A time in seconds since 1970; None where there is none."""
    given = settings.get(name)
    time_of = datetime.fromisoformat(given) if given is not None else None
    if time_of is not None and time_of.tzinfo is None:
        raise ValueError(f"{name} has no offset from UTC")
    return time_of.timestamp() if time_of else None


@dataclass
class _Bucket:
    """The requests that a key may make at once: up to `burst`, and more with time."""

    left: float
    at_s: float


class Keys:
    """The keys of a file, or none at all, where everybody may ask.

    Args:
        file: as `read_keys` has it; None for no keys.
        may_log: whether the gateway has a sampled log.
        clock: seconds that only grow.
        now: seconds since 1970.

    Raises:
        InvalidInput: as `read_keys`.
    """

    def __init__(
        self,
        file: Path | None,
        *,
        may_log: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._may_log = may_log
        self._clock = clock
        self._now = now
        self._buckets: dict[str, _Bucket] = {}
        self._looked_at_s = clock()
        self._changed = _state(file)
        self._keys = read_keys(file, may_log=may_log) if file else {}

    def admit(self, request: Request) -> Key:
        """The key of a request, which then counts against its rate. Raises Fault: `NO_KEY`, `RATE_LIMITED`."""
        key = self._of(request)
        self._take(key)
        return key

    def shown(self, request: Request) -> Key | None:
        """The key that a request shows, which counts against nothing; None where it shows none that is valid."""
        try:
            return self._of(request)
        except Fault:
            return None

    def _of(self, request: Request) -> Key:
        """The valid key of a request. Raises Fault: `NO_KEY`."""
        if self._file is None:
            return EVERYBODY
        self._look(self._file)
        secret = presented(request)
        # The look-up is by hash: how long it takes tells of the hash, and no key can be found by its hash.
        key = self._keys.get(hashlib.sha256(secret).hexdigest()) if secret else None
        if key is None:
            raise Fault(Kind.NO_KEY, "the API key is missing" if not secret else "the API key is not valid")
        if key.expires_unix_s is not None and self._now() >= key.expires_unix_s:
            raise Fault(Kind.NO_KEY, "the API key has expired")
        return key

    def _take(self, key: Key) -> None:
        if key.requests_per_second is None:
            return
        now_s = self._clock()
        bucket = self._buckets.setdefault(key.sha256, _Bucket(key.burst, now_s))
        bucket.left = min(bucket.left + (now_s - bucket.at_s) * key.requests_per_second, key.burst)
        bucket.at_s = now_s
        if bucket.left < 1:
            limit = f"the API key may make {key.requests_per_second:g} requests per second, and {key.burst} at once"
            raise Fault(Kind.RATE_LIMITED, limit, retry_after_s=(1 - bucket.left) / key.requests_per_second)
        bucket.left -= 1

    def _look(self, file: Path) -> None:
        """Read the file again where it, or who may read it, has changed. A malformed one is told once, and the keys
        stay."""
        now_s = self._clock()
        if now_s - self._looked_at_s < CHECK_S:
            return
        self._looked_at_s = now_s
        changed = _state(file)
        if changed == self._changed:
            return
        self._changed = changed
        try:
            self._keys = read_keys(file, may_log=self._may_log)
        except InvalidInput as error:
            LOG.error("the keys stay as they were: %s", error)


def _state(file: Path | None) -> tuple[int, int, int, int] | None:
    """What is another where a file has changed."""
    try:
        status = file.stat() if file else None
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino) if status else None


def presented(request: Request) -> bytes:
    """The key that a request shows, in any of the ways of clients; empty where there is none."""
    scheme, _, credentials = request.headers.get(b"authorization", b"").strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return credentials.strip()
    return scheme or request.headers.get(b"x-api-key", b"") or request.headers.get(b"api-key", b"")
