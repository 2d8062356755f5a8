"""Whether a channel of `grpc` is connected, which it tells to a callback alone, each time on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

STATE_S = 0.5
"""How long a channel may take to say whether it is connected, in seconds."""
FRESH_S = 0.1
"""What it said is not asked again for so long, in seconds: a server that is full refuses many requests at a time."""


class Connectivity:
    """The state of one channel. Threads may share it."""

    def __init__(self, channel: Any, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel = channel
        self._clock = clock
        self._asking = threading.Lock()
        self._is_ready = False
        self._asked_s = float("-inf")

    def is_ready(self) -> bool:
        """Whether it is connected, or was a moment ago."""
        with self._asking:
            if self._clock() - self._asked_s >= FRESH_S:
                self._is_ready = self._ask()
                self._asked_s = self._clock()
            return self._is_ready

    def _ask(self) -> bool:
        states: list[grpc.ChannelConnectivity] = []
        told = threading.Event()

        def tell(state: grpc.ChannelConnectivity) -> None:
            states.append(state)
            told.set()

        try:
            self._channel.subscribe(tell)  # which tells the state that it is in, on another thread
            told.wait(STATE_S)
            self._channel.unsubscribe(tell)
        except ValueError:  # it is closed
            return False
        return states[:1] == [grpc.ChannelConnectivity.READY]
