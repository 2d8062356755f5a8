"""The real engine and its door, in virtual time, and those who come to it."""

import json
from collections import deque
from types import SimpleNamespace

import numpy as np
from trained_tokenizers import byte_level_tokenizer

from encserve_server.steps.encode.host.requirements import HostRequirements
from encserve_server.steps.generate import engine as engine_module
from encserve_server.steps.generate.decoder.network import Shape
from encserve_server.steps.generate.door import turns
from encserve_server.steps.generate.door.refusal import QueueFull
from encserve_server.steps.generate.engine import Engine
from encserve_server.steps.generate.texts.choice import Choice
from encserve_server.steps.generate.texts.pieces import Pieces
from encserve_server.steps.generate.texts.text import GeneratedText

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

    clock, call_s, token_s, stalls = None, 0.0, TOKEN_S, ()

    @classmethod
    def certified(cls, folder, settings, *, threads):
        made = cls()
        made.shape = Shape(**settings["shape"])
        return made

    def encode_apart(self, texts):
        self.clock.go_on(self.call_s + self.token_s * sum(map(len, texts)))
        return [np.full((2, 1, len(text), 2), text[-1], np.float32) for text in texts]

    def step(self, tokens, cache):
        self.clock.go_on(ROUND_S + ROW_S * len(tokens))
        if self.stalls:
            self.clock.go_on(self.stalls.pop())
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

    def __init__(self, folder, monkeypatch, may_wait_s, *, lengths_are_known=True, unseen=1.0, **limits):
        self.clock = TimedNetwork.clock = Clock()
        for module in (engine_module, turns):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=self.clock.monotonic))
        TimedNetwork.call_s, TimedNetwork.token_s, TimedNetwork.stalls = 0.0, TOKEN_S, []
        monkeypatch.setattr(engine_module, "GenerateNetwork", TimedNetwork)
        monkeypatch.setattr(engine_module, "Loop", Unstarted)
        settings = {"shape": SHAPE, "requirements": vars(HostRequirements(backend="python")), "graph_sha256": {}}
        (folder / "settings.json").write_text(json.dumps({**settings, "start_token": 1, "engine": LIMITS | limits}))
        self.engine = Engine(folder)
        self.engine._changed.wait = self._wait
        self._see_less(unseen)
        self._may_wait_s, self._are_known = may_wait_s, lengths_are_known
        self._tokenizer, self._random = byte_level_tokenizer(), np.random.default_rng(0)
        self.came = self.let_in = self.whole = self.tokens = 0
        self.refused = []

    def _see_less(self, unseen):
        """Have rounds take so many times what the engine sees of them, as where others have the cores."""
        took = self.engine._pace.round_took

        def seen(seconds, done):
            done.encoding_s /= unseen
            took(seconds / unseen, done)

        self.engine._pace.round_took = seen

    def _wait(self):
        if self.clock.due:
            self.clock.go_on(max(self.clock.due[0][0] - self.clock.now_s, 0.0))
        else:
            self.engine._closed = True

    def text(self, length, *, source=4, least=0, most=MOST, timeout_s=TIMEOUT_S, over=lambda: None, **about):
        """A text that becomes so long, if it may."""

        def tell(text, piece):
            if text.ended:
                if text.finish in ("eos", "length") and self.clock.now_s <= text.deadline_s:
                    self.whole += 1
                    self.tokens += len(text.tokens)
                over()

        return GeneratedText(
            source=np.array([*[5] * (source - 1), length]),
            choice=Choice(ends=(END,), min_new_tokens=least),
            max_new_tokens=most,
            pieces=Pieces(self._tokenizer),
            tell=tell,
            arrived_s=self.clock.now_s,
            deadline_s=self.clock.now_s + timeout_s,
            waits_until_s=self.clock.now_s + self._may_wait_s(timeout_s),
            **{"lane": "interactive", **about},
        )

    def ask(self, *texts):
        """A request. Returns its texts."""
        self.came += len(texts)
        try:
            self.engine.put(texts)
        except QueueFull as why:
            self.refused.append(str(why))
        else:
            self.let_in += len(texts)
        return texts

    def come(self, timeout_s=TIMEOUT_S, over=lambda: None, **about):
        """One more text, of a length drawn at random. Returns it."""
        length = int(np.clip(np.rint(self._random.lognormal(np.log(21), 0.6)), 4, MOST))
        source = int(np.clip(np.rint(self._random.lognormal(np.log(18), 0.3)), 2, 64))
        bounds = {"least": length, "most": length} if self._are_known else {}
        return self.ask(self.text(length, source=source, timeout_s=timeout_s, over=over, **bounds, **about))[0]

    def at(self, seconds, happens):
        """Have something happen so many seconds from now; in order."""
        self.clock.due.append((self.clock.now_s + seconds, happens))

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
        while self.engine._wait():
            self.engine._round()
        self.engine._closed = False  # for those who come then
