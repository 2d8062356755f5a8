"""One connection to Valkey or Redis: the few words of their protocol, RESP 2, that are needed, each by a deadline.

The steps run in Triton's image, which has no client of either. What does not come as expected closes the connection:
an answer that comes late must never be taken for the next one.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from .settings import SharedSettings

LARGEST_VALUE = 64 * 2**20
"""The bytes of the largest value that is read."""
_LONGEST_LINE = 1_024


class CacheFailed(Exception):
    """The cache cannot be reached, refuses, is late, or does not speak the protocol."""


class Connection:
    """A connection that is opened before it is used. One thread at a time may use it."""

    def __init__(self, settings: SharedSettings) -> None:
        self._settings = settings
        self._socket: socket.socket | None = None
        self._read = b""
        self._until_s = 0.0
        self._most = 0

    @property
    def is_open(self) -> bool:
        """Whether it has been opened, and nothing has failed since."""
        return self._socket is not None

    def open(self, *, timeout_s: float) -> None:
        """Connect, and log in; open already, nothing happens. Looking the host's name up takes the time of the system's
        resolver, whatever `timeout_s` is. Raises CacheFailed."""
        if self.is_open:
            return
        try:
            self._socket = socket.create_connection((self._settings.host, self._settings.port), timeout_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            self.close()
            raise CacheFailed(str(error)) from error
        self._ask(self._login(), timeout_s)

    def get(self, names: Sequence[bytes], *, timeout_s: float) -> list[bytes | None]:
        """Return the value of each name, None for those that are not there. Raises CacheFailed, as where it is not
        open."""
        self._most = len(names)
        (values,) = self._ask([[b"MGET", *names]], timeout_s)
        if not isinstance(values, list) or len(values) != len(names):
            self.close()
            raise CacheFailed("it answered MGET with something else than a value for each name")
        return values

    def put(self, values: Sequence[tuple[bytes, bytes]], *, timeout_s: float) -> None:
        """Keep values under their names, for the time that is set. Raises CacheFailed, as where it is not open."""
        ttl_ms = str(self._settings.ttl_s * 1_000).encode()
        self._ask([[b"SET", name, value, b"PX", ttl_ms] for name, value in values], timeout_s)

    def close(self) -> None:
        """Close it; it can be opened again."""
        taken, self._socket, self._read = self._socket, None, b""
        if taken is not None:
            taken.close()

    def _ask(self, commands: Sequence[Sequence[bytes]], timeout_s: float) -> list[object]:
        self._until_s = time.monotonic() + timeout_s
        try:
            self._send(commands)
            return [self._answer() for _ in commands]
        except CacheFailed:
            self.close()
            raise
        except (OSError, ValueError) as error:
            self.close()
            raise CacheFailed(str(error) or type(error).__name__) from error

    def _login(self) -> list[list[bytes]]:
        """Return what is said first."""
        settings = self._settings
        first = []
        if settings.password:
            user = [settings.user.encode()] if settings.user else []
            first.append([b"AUTH", *user, settings.password.encode()])
        if settings.database:
            first.append([b"SELECT", str(settings.database).encode()])
        return first

    def _send(self, commands: Sequence[Sequence[bytes]]) -> None:
        parts = []
        for command in commands:
            parts.append(b"*%d\r\n" % len(command))
            parts += [b"$%d\r\n%b\r\n" % (len(part), part) for part in command]
        if self._socket is None:
            raise CacheFailed("it is not connected")
        self._socket.settimeout(self._left())
        self._socket.sendall(b"".join(parts))

    def _answer(self) -> object:
        """Return the next answer: a list of values, a value, None, or a word. Raises CacheFailed for an error."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise CacheFailed(f"it answered {rest.split(b' ')[0].decode(errors='replace')}")
        if kind == b"+":
            return rest
        if kind == b"$":
            return self._value(int(rest))
        if kind == b"*":
            if int(rest) > self._most:
                raise CacheFailed(f"it answered with {int(rest)} values; {self._most} were asked for")
            return [self._answer_of_list() for _ in range(int(rest))]
        raise CacheFailed("it does not speak the protocol of Redis")

    def _answer_of_list(self) -> bytes | None:
        line = self._line()
        if line[:1] != b"$":
            raise CacheFailed("it answered with something else than values")
        return self._value(int(line[1:]))

    def _value(self, size: int) -> bytes | None:
        if size == -1:
            return None
        if not 0 <= size <= LARGEST_VALUE:
            raise CacheFailed(f"it answered with a value of {size} bytes; {LARGEST_VALUE} are the most")
        while len(self._read) < size + 2:
            self._more()
        value, end, self._read = self._read[:size], self._read[size : size + 2], self._read[size + 2 :]
        if end != b"\r\n":
            raise CacheFailed("a value does not end where it says")
        return value

    def _line(self) -> bytes:
        while b"\r\n" not in self._read:
            if len(self._read) > _LONGEST_LINE:
                raise CacheFailed("it does not speak the protocol of Redis")
            self._more()
        line, _, self._read = self._read.partition(b"\r\n")
        return line

    def _more(self) -> None:
        assert self._socket is not None
        self._socket.settimeout(self._left())
        read = self._socket.recv(2**18)
        if not read:
            raise CacheFailed("it closed the connection")
        self._read += read

    def _left(self) -> float:
        left = self._until_s - time.monotonic()
        if left <= 0:
            raise CacheFailed("it did not answer in time")
        return left
