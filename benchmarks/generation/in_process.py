"""encserve's engine in this process, without Triton: what the way over gRPC costs is the difference."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.generation.checkpoint import Request
from benchmarks.generation.systems import IN_FLIGHT, Took
from encserve_export.generation.asked_step import AskedStep
from encserve_export.reference.messages import Asked
from encserve_server.steps.generate.door.limits import EngineLimits
from encserve_server.steps.generate.engine import Engine
from encserve_server.steps.generate.texts.text import GeneratedText
from encserve_server.steps.instance.settings import read_settings


class InProcess:
    """A version's engine, whose thread does nothing while others are measured. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._step = AskedStep(folder)
        limits = EngineLimits(**read_settings(folder)["engine"])
        self._engine = Engine(folder, limits=replace(limits, max_rows=IN_FLIGHT))

    def make(self, asked: Sequence[Request]) -> Took:
        """Make them, each of its length, as many at a time as are in flight over gRPC."""
        left, ended, waiting = [len(asked)], threading.Event(), iter(asked)

        def tell(text: GeneratedText, piece: str) -> None:
            if text.ended:
                left[0] -= 1
                if not left[0]:
                    ended.set()

        def text_of(request: Request) -> GeneratedText:
            lengths = {"min_new_tokens": request.new_tokens, "max_new_tokens": request.new_tokens}
            return self._step.text(Asked({"text": [request.text]}, lengths), tell)

        begun_s = time.perf_counter()
        texts = [text_of(request) for request in waiting]
        for text in texts:
            self._engine.put([text])
        ended.wait()
        return Took(time.perf_counter() - begun_s, sum(len(text.tokens) for text in texts), None)

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()
        self._step.__exit__()
