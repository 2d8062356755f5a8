"""One request to generate, from its texts to the last piece of them, in one response or in many."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from ...instance.failures import Failures
from ...request.call import Call
from ...request.replies import error_kind, failed, reply, unavailable
from ..texts.text import CANCELLED, DEADLINE, GeneratedText, NotFinite
from .generate_trace import GenerateTrace

_NOT_WHOLE = (CANCELLED, DEADLINE)
"""How texts end that nobody waited for."""
OUTCOMES = ANSWERED, _GIVEN_UP, LATE, REFUSED, _INVALID, FAILED = (
    *("answered", "cancelled", "late", "refused", "invalid", "failed"),
)
"""What the last response to a request may be; `late` is that to a request whose time was up, or a stream that its time
cut."""
LONG_GAP_S = 0.04
"""Where the tokens of a text come further apart each is sent at once: there are few responses, and a piece that waits
for the next would wait for long."""
Over: TypeAlias = "Callable[[GenerateCall, str, float], None]"
"""Takes a call that has its last response, which of `OUTCOMES` that is, and the seconds since it came."""


@dataclass
class _News:
    """What of one text was not sent yet, as it was when it was told: the engine goes on with the text meanwhile."""

    piece: str = ""
    finish: str = ""
    tokens: int = 0
    ended: bool = False


class GenerateCall(Call):
    """A call of the generate step. The engine's thread says what is new of its texts, and another sends it: what comes
    while a response is on its way goes with the next."""

    def __init__(self, request: Any, failures: Failures, *, over: Over = lambda call, outcome, took_s: None) -> None:
        super().__init__(request, failures)
        self.keep()
        self._over: Over | None = over
        self.outcome = ""
        """Which of `OUTCOMES` its last response was; empty before that."""
        self.texts: list[GeneratedText] = []
        self._counts: Mapping[str, NDArray[Any]] = {}
        self.streamed = False
        """Whether it is answered piece by piece."""
        self._news: dict[int, _News] = {}
        """Of each text of which the last was not sent."""
        self._going: set[int] = set()
        """The texts of which the last was not told."""
        self._begun: set[int] = set()
        """Those of which something was told."""
        self._held: set[int] = set()
        """Those whose last piece waits for the next."""
        self._held_s: float | None = None
        """Since when one does, on the clock of `time.monotonic`."""
        self._holds: Callable[[], bool] = lambda: False
        self._changing = threading.Lock()
        self._announce: Callable[[GenerateCall], None] = lambda call: None
        self.is_over = False
        """Whether its last response was sent."""

    def expect(
        self,
        texts: Sequence[GeneratedText],
        counts: Mapping[str, NDArray[Any]],
        *,
        streamed: bool,
        announce: Callable[[GenerateCall], None],
        holds: Callable[[], bool] = lambda: False,
    ) -> None:
        """Answer with these texts. `counts` has what is said of the source of each, (n,); where it is not `streamed`
        there is one response. `announce` is called when there is something to send. As long as `holds` says so, every
        second piece of a text, but its first and its last, goes with the next where that comes soon."""
        self.texts, self._counts, self._holds = list(texts), counts, holds
        self.streamed, self._announce = streamed, announce
        self._news = {index: _News() for index in range(len(texts))}
        self._going = set(self._news)

    def told(self, text: GeneratedText, piece: str) -> None:
        """Take what is new of a text. Where the request comes to nothing by it, as it failed or is to be answered
        whole and came to no end of its own, its other texts are given up. Raises nothing."""
        index = self.texts.index(text)
        if isinstance(self.trace, GenerateTrace):
            self.trace.told()
        with self._changing:
            news = self._news[index]
            news.piece += piece
            news.finish, news.tokens, news.ended = text.finish, len(text.tokens), text.ended
            if text.ended:
                self._going.discard(index)
            sends = (self.streamed and not self._holds_back(text, index)) or not self._going
        if text.error is not None or (not self.streamed and text.finish in _NOT_WHOLE):
            self.give_up_texts()
        if sends:
            self._announce(self)

    def _holds_back(self, text: GeneratedText, index: int) -> bool:
        """Whether what was told of a text goes with what comes next of it: there is a lock around it."""
        is_first = index not in self._begun
        self._begun.add(index)
        comes_soon = text.token_s is not None and time.monotonic() - text.token_s <= LONG_GAP_S
        if is_first or text.ended or index in self._held or not comes_soon or not self._holds():
            self._held.discard(index)
            return False
        self._held.add(index)
        self._held_s = self._held_s or time.monotonic()
        return True

    def has_held(self, seconds: float) -> bool:
        """Whether a piece has waited so long for the next of its text, which may have tokens that are no piece yet."""
        held_s = self._held_s
        return held_s is not None and time.monotonic() - held_s > seconds

    def give_up_texts(self) -> None:
        """Have no more tokens be computed for it, from the next step on."""
        for text in self.texts:
            text.given_up = True

    def give_up(self, error: BaseException) -> None:
        """Answer that a fault of ours leaves it without an answer, and give up its texts. Raises nothing."""
        self.give_up_texts()
        super().give_up(error)

    def is_no_request(self) -> None:
        """Leave it out where requests are counted: it is a message about another."""
        self._over = None

    def answer(self, response: Any) -> None:
        """Answer the request, an error with its status in words before it: a stream of Triton's carries of an error no
        more than its words, where clients read the status. Raises nothing."""
        with self._changing:
            over, self._over = self._over, None
            self.outcome = self.outcome or self._outcome(response)
        if response.has_error():
            error = response.error()
            words = f"{error_kind(response)}: {error.message()}"
            response = pb_utils.InferenceResponse(error=pb_utils.TritonError(words, error.code()))
        super().answer(response)
        if over is not None:
            over(self, self.outcome, time.monotonic() - self.arrived_s)

    def _outcome(self, response: Any) -> str:
        """Which of `OUTCOMES` a last response is."""
        finishes = {text.finish for text in self.texts}
        if not response.has_error():
            return LATE if DEADLINE in finishes else _GIVEN_UP if CANCELLED in finishes else ANSWERED
        code, known = response.error().code(), pb_utils.TritonError
        if code == known.INVALID_ARG:
            return _INVALID
        if code == known.CANCELLED:
            return _GIVEN_UP
        if code == known.UNAVAILABLE:
            return LATE if DEADLINE in finishes else _GIVEN_UP if CANCELLED in finishes else REFUSED
        return FAILED

    def send(self) -> None:
        """Send what is new. Raises nothing."""
        with self.guarded("answer"):
            with self._changing:
                is_last = not self._going
                news = {index: each for index, each in self._news.items() if each.piece or each.ended}
                if self.is_over or not (is_last or (news and self.streamed)):
                    return
                ended = [index for index, each in news.items() if each.ended]
                self._news = {index: _News() for index in self._news if index not in ended}
                self._held.clear()
                self._held_s = None
                self.is_over = is_last
            if error := next((text.error for text in self.texts if text.error), None):
                if is_last:
                    self.answer(self._failed(error))
            elif is_last:
                self.answer(_late() if self._came_to_nothing(news) else self._response(news))
            else:
                self._send_piece(self._response(news))

    def _send_piece(self, response: Any) -> None:
        try:
            self._sender.send(response)
        except pb_utils.TritonModelException:
            if not self.is_given_up():  # but there was no room in shared memory, and the text lacks a piece
                raise
            self.give_up_texts()

    def _failed(self, error: BaseException) -> Any:
        if isinstance(
            error, NotFinite
        ):  # callers who share a request by the SDK ask again for those that are not named
            named = [index for index, text in enumerate(self.texts) if isinstance(text.error, NotFinite)]
            return failed(f"{error}, for texts {named} of this request")
        return failed(self._failures.in_words(error))

    def _came_to_nothing(self, news: Mapping[int, _News]) -> bool:
        """Whether there is an error in place of the last response: a text that is to be whole is not, or the time of
        all texts was up before they had a token, so that the caller may ask again."""
        if self.streamed:
            return not any(text.tokens or text.finish != DEADLINE for text in self.texts)
        return any(each.finish in _NOT_WHOLE for each in news.values())

    def _response(self, news: Mapping[int, _News]) -> Any:
        told, at = news.values(), list(news)
        return reply(
            text_output=_bytes(each.piece for each in told),
            index=np.array([at], np.int32),
            finish=_bytes(each.finish for each in told),
            output_token_count=np.array([[each.tokens for each in told]], np.int32),
            **{name: counts[None, at] for name, counts in self._counts.items()},
        )


def _late() -> Any:
    return unavailable(
        "the request was cancelled, or its timeout passed, or would have, before all its texts had ended"
    )


def _bytes(texts: Any) -> NDArray[np.object_]:
    """Texts as a tensor of BYTES (1, k)."""
    return np.array([[text.encode() for text in texts]], np.object_)
