"""Five times what an engine makes: who is let in is whole in time. The real engine and its door, in virtual time."""

import json
from collections import deque
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from trained_tokenizers import byte_level_tokenizer

from encserve_server.steps.encode.host.requirements import HostRequirements
from encserve_server.steps.generate import door, pace, turns
from encserve_server.steps.generate import engine as engine_module
from encserve_server.steps.generate.choice import Choice
from encserve_server.steps.generate.door import QueueFull
from encserve_server.steps.generate.engine import Engine
from encserve_server.steps.generate.network import Shape
from encserve_server.steps.generate.pieces import Pieces
from encserve_server.steps.generate.text import GeneratedText

ROUND_S, ROW_S, TOKEN_S = 0.015, 0.0009, 0.0004
"""What a step takes, each text in it, and each token that is encoded: about as of a T5 of t5-small's size on two
cores."""
IN_FLIGHT, TIMEOUT_S, MOST = 32, 4.0, 96
END, SAYS = 0, 1
SHAPE = {"layers": 1, "heads": 1, "size": 2, "vocabulary": 32}
LIMITS = {"cache_bytes": 16 * 43_690, "logits_bytes": 522 * 32 * 4, "prefill_tokens": 512, "max_queued_texts": 1_024}
"""Bytes of a token and of logits are few here; so many of both have room as of that T5: over three hundred texts."""


class Clock:
    """Virtual seconds, and what happens when."""

    def __init__(self):
        self.now_s, self.due = 0.0, deque()

    def monotonic(self):
        return self.now_s

    def go_on(self, seconds):
        until_s = self.now_s + seconds
        while self.due and self.due[0][0] <= until_s:
            self.now_s, happens = self.due.popleft()
            happens()
        self.now_s = until_s


class TimedNetwork:
    """Takes the time of a real one, and ends a text when it has as many tokens as the last one of its source says."""

    clock = None

    @classmethod
    def certified(cls, folder, settings, *, threads):
        made = cls()
        made.shape = Shape(**settings["shape"])
        return made

    def encode_apart(self, texts):
        self.clock.go_on(TOKEN_S * sum(map(len, texts)))
        return [np.full((2, 1, len(text), 2), text[-1], np.float32) for text in texts]

    def step(self, tokens, cache):
        self.clock.go_on(ROUND_S + ROW_S * len(tokens))
        lengths = list(cache.tensors())[2][:, 0, 0, 0]
        logits = np.zeros((len(tokens), 1, 32), np.float32)
        logits[:, 0, SAYS] = 1.0
        logits[cache.kept + 1 >= lengths, 0, END] = 2.0
        cache.keep(*np.zeros((2, 1, len(tokens), 1, 1, 2), np.float32))
        return logits


class Unstarted:
    """A thread that the test is itself."""

    def __init__(self, *about, **more):
        pass

    def start(self):
        return self

    def join(self):
        pass


class Crowd:
    """An engine in virtual time, and what becomes of the texts that come to it."""

    def __init__(self, folder, monkeypatch, may_wait_s, *, lengths_are_known):
        self.clock = TimedNetwork.clock = Clock()
        for module in (engine_module, door, pace, turns):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=self.clock.monotonic))
        monkeypatch.setattr(engine_module, "GenerateNetwork", TimedNetwork)
        monkeypatch.setattr(engine_module, "Loop", Unstarted)
        settings = {"shape": SHAPE, "requirements": vars(HostRequirements(backend="python")), "graph_sha256": {}}
        (folder / "settings.json").write_text(json.dumps({**settings, "start_token": 1, "engine": LIMITS}))
        self.engine = Engine(folder)
        self.engine._changed.wait = self._wait
        self._may_wait_s, self._are_known = may_wait_s, lengths_are_known
        self._tokenizer, self._random = byte_level_tokenizer(), np.random.default_rng(0)
        self.came = self.let_in = self.whole = self.tokens = 0
        self.refused = []

    def _wait(self):
        if self.clock.due:
            self.clock.go_on(max(self.clock.due[0][0] - self.clock.now_s, 0.0))
        else:
            self.engine._closed = True

    def come(self, timeout_s=TIMEOUT_S, over=lambda: None):
        """One more text."""
        length = int(np.clip(np.rint(self._random.lognormal(np.log(21), 0.6)), 4, MOST))
        source = int(np.clip(np.rint(self._random.lognormal(np.log(18), 0.3)), 2, 64))
        now_s = self.clock.now_s

        def tell(text, piece):
            if text.ended:
                if text.finish in ("eos", "length") and self.clock.now_s <= text.deadline_s:
                    self.whole += 1
                    self.tokens += len(text.tokens)
                over()

        text = GeneratedText(
            source=np.array([*[5] * (source - 1), length]),
            choice=Choice(ends=(END,), min_new_tokens=length if self._are_known else 0),
            max_new_tokens=length if self._are_known else MOST,
            pieces=Pieces(self._tokenizer),
            tell=tell,
            lane="interactive",
            arrived_s=now_s,
            deadline_s=now_s + timeout_s,
            waits_until_s=now_s + self._may_wait_s(timeout_s),
        )
        self.came += 1
        try:
            self.engine.put([text])
        except QueueFull as why:
            self.refused.append(str(why))
        else:
            self.let_in += 1

    def closed_set(self, texts):
        """Have so many made, a few at a time. Returns how many there were each second, and how many tokens."""
        begun_s, left = self.clock.now_s, texts - IN_FLIGHT

        def next_one():
            nonlocal left
            left -= 1
            if left >= 0:
                self.come(float("inf"), next_one)

        self.clock.due.extend((begun_s, lambda: self.come(float("inf"), next_one)) for _ in range(IN_FLIGHT))
        self.run()
        seconds, tokens = self.clock.now_s - begun_s, self.tokens
        self.came = self.let_in = self.whole = self.tokens = 0
        return texts / seconds, tokens / seconds

    def run(self):
        """Make all that comes."""
        self.engine._closed = False
        while self.engine._wait():
            self.engine._round()


@pytest.fixture
def crowd(triton, tmp_path, monkeypatch):
    """crowd(lengths_are_known): an engine that has made a closed set."""
    from encserve_server.steps.generate.step import _may_wait_s

    def made(lengths_are_known):
        return Crowd(tmp_path, monkeypatch, _may_wait_s, lengths_are_known=lengths_are_known)

    return made


@pytest.mark.parametrize("lengths_are_known", [True, False])
def test_who_is_let_in_is_whole_in_time(crowd, lengths_are_known):
    crowd = crowd(lengths_are_known)
    texts_per_s, tokens_per_s = crowd.closed_set(128)
    begun_s, seconds = crowd.clock.now_s, 12.0
    count = int(5 * texts_per_s * seconds)
    crowd.clock.due.extend((begun_s + number / (5 * texts_per_s), crowd.come) for number in range(count))
    crowd.run()
    assert crowd.came == count
    assert crowd.whole >= 0.9 * crowd.let_in
    assert crowd.tokens >= 0.8 * tokens_per_s * seconds
    assert len(crowd.refused) == count - crowd.let_in


@pytest.mark.parametrize("lengths_are_known", [True, False])
def test_of_a_burst_upon_an_idle_engine_as_many_are_whole_as_can_be(crowd, lengths_are_known):
    crowd = crowd(lengths_are_known)
    _, tokens_per_s = crowd.closed_set(128)
    begun_s = crowd.clock.now_s
    crowd.clock.due.extend((begun_s, crowd.come) for _ in range(400))
    crowd.run()
    assert crowd.tokens >= 0.7 * tokens_per_s * TIMEOUT_S
    assert crowd.clock.now_s < begun_s + TIMEOUT_S + 0.2  # with the step under way


def test_what_the_engine_can_make_is_not_refused(crowd):
    crowd = crowd(True)
    texts_per_s, _ = crowd.closed_set(128)
    rate_per_s = 0.9 * texts_per_s
    begun_s, come = crowd.clock.now_s, partial(crowd.come, timeout_s=8.0)
    crowd.clock.due.extend((begun_s + number / rate_per_s, come) for number in range(200))
    crowd.run()
    assert crowd.whole >= 0.97 * crowd.came
