"""One request of Triton's in a step, from its arrival to its one answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Protocol

import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from ..instance.failures import Failures
from ..instance.loops import end_process
from .health import PARAMETER as HEALTH
from .options import InvalidArgument
from .replies import error_kind, failed, invalid
from .traceparent import PARAMETER as TRACEPARENT

_NO_ROOM = "shared memory pool size"
"""The words of the Python backend where an answer finds no room in shared memory; it has no code for that."""


class Trace(Protocol):
    """What is told of a request that is traced."""

    def answered(self, error: str) -> None:
        """Take that it is answered, with a kind of error or "". Raises nothing."""


class Call:
    """A request that is answered once, by whichever thread does it first; an answer after that is dropped.

    A call that is answered before `execute` returns, on its thread, has its response there; one that is `kept` gets it
    sent, now or later.
    """

    trace: Trace | None = None
    """What its step tells of it; None where it is not traced."""

    def __init__(self, request: Any, failures: Failures) -> None:
        self._request = request
        self._failures = failures
        self._sender: Any = None
        self._is_answered = False
        self._answering = threading.Lock()
        self.arrived_s = time.monotonic()
        self.response: Any = None
        """The response that `execute` returns for the call: None if the answer is sent."""

    @cached_property
    def id(self) -> str:
        """The id that its caller gave it; empty if none."""
        return str(self._request.request_id())

    @property
    def timeout_s(self) -> float:
        """Seconds that its caller waits; 0 for ever."""
        return float(self._request.timeout()) / 1e6

    @cached_property
    def _given(self) -> Mapping[str, Any]:
        text = self._request.parameters()
        given: Mapping[str, Any] = json.loads(text) if text else {}
        return given

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters that its caller chose, as Triton hands them over."""
        return {name: value for name, value in self._given.items() if name != HEALTH and name.lower() != TRACEPARENT}

    @property
    def health_token(self) -> object:
        """The token that shows that it is a question of health; None where it claims to be none."""
        return self._given.get(HEALTH)

    @cached_property
    def traceparent(self) -> object:
        """The trace that its caller says that it belongs to; None where it says nothing. Triton names the parameter as
        a caller over HTTP writes the header."""
        return next((value for name, value in self._given.items() if name.lower() == TRACEPARENT), None)

    @property
    def outputs(self) -> frozenset[str]:
        """The names of the outputs that are asked for."""
        return frozenset(self._request.requested_output_names())

    def tensor(self, name: str) -> NDArray[Any]:
        """Return an input without its leading dimension, in memory that Triton takes back when `execute` returns.

        Raises:
            InvalidArgument: the leading dimension is not 1.
        """
        tensor: NDArray[Any] = pb_utils.get_input_tensor_by_name(self._request, name).as_numpy()
        if len(tensor) != 1:
            raise InvalidArgument(
                f"input {name} has shape {list(tensor.shape)}; [1, n] is expected, all texts in one row"
            )
        return tensor[0]  # type: ignore[no-any-return]

    def is_given_up(self) -> bool:
        """Return whether nobody waits for an answer: its caller has cancelled it, or has one.

        Triton is not asked about a request after its last response, nor while that is sent: it takes what it would
        look at away then, and the whole server ends with signal 11.
        """
        with self._answering:
            return self._is_answered or bool(self._request.is_cancelled())

    def keep(self) -> None:
        """Have the answer sent from now on, so that `execute` may return before."""
        if self._sender is None:
            self._sender = self._request.get_response_sender()

    def answer(self, response: Any) -> None:
        """Answer the request. Raises nothing."""
        with self._answering:
            if self._is_answered:
                return
            self._is_answered = True
        if self.trace is not None:
            self.trace.answered(error_kind(response))
        if self._sender is None:
            self.response = response
            return
        try:
            self._sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        except BaseException as error:
            self.report("answer", error)
            if not _reached_triton(error):  # which takes no second answer after that: its caller would wait for ever
                end_process()

    def fail(self, where: str, error: BaseException) -> None:
        """Report a fault of ours, and answer that it was ours. Raises nothing."""
        self.report(where, error)
        self.give_up(error)

    def report(self, where: str, error: BaseException) -> None:
        """Report a fault of ours in answering it. Raises nothing."""
        self._failures.report(where, error, self.id)

    def give_up(self, error: BaseException) -> None:
        """Answer that a fault of ours, which was reported, leaves it without an answer. Raises nothing."""
        try:
            response = failed(self._failures.in_words(error))
        except BaseException:  # no memory even for that
            end_process()
        else:
            self.answer(response)

    @contextmanager
    def guarded(self, where: str = "execute") -> Iterator[None]:
        """Answer whatever goes wrong in the block: a mistake of the caller as one, anything else as a fault of ours."""
        try:
            yield
        except InvalidArgument as error:
            self.answer(invalid(error))
        except BaseException as error:  # a panic of the tokenizer is no Exception
            self.fail(where, error)


def _reached_triton(error: BaseException) -> bool:
    """Return whether Triton took an answer that could not be sent, and so ends the request: it then says what was
    wrong."""
    return not isinstance(error, MemoryError) and _NO_ROOM not in str(error)
