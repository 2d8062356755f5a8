"""The encode step of engine `python` in this process, asked as Triton asks it, but for a caller who waits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from encserve_export.engines.served_encoder import Tensors
from encserve_server.steps.encode.encoder import Encoder
from encserve_server.steps.encode.request import Rows
from encserve_server.steps.instance.lanes import INTERACTIVE
from encserve_server.steps.instance.load_page import Load


class InProcessStep:
    """The very code of the step on a version folder: a `ServedEncoder`, and a context manager."""

    def __init__(self, folder: Path) -> None:
        """Load the version in `folder`, where no operator has set anything. Raises what `Encoder` raises."""
        self._changed = threading.Condition()
        self._encoder = Encoder(folder, publish=self._published, environment={})

    def encode(self, requests: Sequence[Tensors], outputs: Sequence[str]) -> list[Rows | Exception]:
        """Return the rows of each request's `outputs`, or the error of a request that failed, once all are answered.

        The requests wait together in the interactive lane, as what Triton hands over at once does. The lane is empty
        afterwards, so that one text that is asked for next has the machine to itself.
        """
        answers: dict[int, Rows | Exception] = {}

        def put(index: int, answer: Rows | Exception) -> None:
            with self._changed:
                answers.setdefault(index, answer)  # of two answers to one request the first counts
                self._changed.notify_all()

        waiting = []
        for index, tensors in enumerate(requests):
            try:
                answer = partial(put, index)
                waiting.append(self._encoder.request(tensors, outputs=tuple(outputs), answer=answer))
            except Exception as error:  # as the step answers a wrong request
                put(index, error)
        self._encoder.put(INTERACTIVE, waiting)
        with self._changed:  # an answer comes a moment before its thread is free again
            self._changed.wait_for(lambda: len(answers) == len(requests) and not self._encoder.load(INTERACTIVE).tokens)
        return [answers[index] for index in range(len(requests))]

    def close(self) -> None:
        """End the threads of the step."""
        self._encoder.close()

    def __enter__(self) -> InProcessStep:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _published(self, lane: str, load: Load) -> None:
        with self._changed:
            self._changed.notify_all()
