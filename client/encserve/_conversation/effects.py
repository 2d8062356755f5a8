"""What a conversation asks its shell to do. The shell does it, and sends the outcome back or throws the error."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from encserve._errors import DeadlineExceeded, EncserveError, TransportError
from encserve._messages import InferRequest

if TYPE_CHECKING:
    from encserve._conversation.call import Call
    from encserve._conversation.deadline import Deadline
    from encserve._conversation.gate import Gate
    from encserve._pipeline import PipelineInfo

T = TypeVar("T")

Talk: TypeAlias = Generator["Effect", Any, T]
"""A conversation that ends with a T."""

SIDE_BY_SIDE = 8
"""Conversations that are held at the same time at most, where they are no parts of a call."""


@dataclass(frozen=True)
class Infer:
    """Send a request; the outcome is its `InferResponse`. An interruption meanwhile gives the request up."""

    request: InferRequest
    timeout_s: float


@dataclass(frozen=True)
class OpenStream:
    """Send a request that may have several responses; the outcome is a stream of them for `Receive`. Who opened it
    cancels it in the end."""

    request: InferRequest
    timeout_s: float


@dataclass(frozen=True)
class Receive:
    """Wait for the next response of a stream; the outcome is None after the last."""

    stream: Any


@dataclass(frozen=True)
class Describe:
    """Ask for the configuration of a model; the outcome is its string parameters, by name."""

    model: str
    version: str
    timeout_s: float


@dataclass(frozen=True)
class ListModels:
    """Ask which models are ready; the outcome is a list of `ServedModel`."""

    timeout_s: float


@dataclass(frozen=True)
class Sleep:
    """Wait for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Enter:
    """Take a ticket of the gate and wait until it is decided, or the deadline has passed; the outcome is the ticket.
    An interruption meanwhile gives it back."""

    gate: Gate
    work: float
    deadline: Deadline


@dataclass(frozen=True)
class Once:
    """Hold a conversation that others with the same key may hold right now: the outcome is that of the one of them that
    came first, which the others wait for."""

    key: Hashable
    talk: Callable[[], Talk[Any]]
    timeout_s: float

    def shares(self, error: EncserveError) -> bool:
        """Whether the error of the one that came first is that of this one, too. It is not where the first may
        only have had too little time: then the conversation is held anew."""
        hasty = error.timeout_s is None or error.timeout_s < self.timeout_s
        return not isinstance(error, DeadlineExceeded) and not (isinstance(error, TransportError) and hasty)


@dataclass(frozen=True)
class SideBySide:
    """Hold conversations at the same time, `SIDE_BY_SIDE` of them; the outcome is their outcomes, in order."""

    talks: Sequence[Callable[[], Talk[Any]]]


@dataclass(frozen=True)
class Open:
    """Begin to ask for the parts of a call, chunk by chunk; the outcome is a window for `Next`."""

    call: Call[Any]
    pipeline: PipelineInfo


@dataclass(frozen=True)
class Next:
    """Wait for the next part, in order; the outcome is None after the last."""

    window: Any


@dataclass(frozen=True)
class Hand:
    """Hand a part to the caller."""

    part: Any


Effect: TypeAlias = (
    Infer | OpenStream | Receive | Describe | ListModels | Sleep | Enter | Once | SideBySide | Open | Next | Hand
)
