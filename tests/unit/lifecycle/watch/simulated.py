"""A server of two versions of a pipeline that is nothing but its counts, and whose time passes when it is slept."""

import math
from dataclasses import dataclass, field

import numpy as np

from encserve_lifecycle.watch.signals import Served
from encserve_lifecycle.watch.watch import Watch
from encserve_server.administration.watched_promotion import WatchedPromotion

BOUNDS = (0.001, 0.0015, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.5, 1.0)
DIRECTIONS = 32


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What a version does."""

    fails: float = 0.001
    nonfinite: float = 0.0
    median_s: float = 0.012
    labels: tuple[float, ...] = (0.6, 0.3, 0.1)
    positive: tuple[float, ...] = tuple(np.linspace(0.3, 0.7, DIRECTIONS).tolist())


GOOD = Behaviour()
BAD = {
    "NaN on one text in fifty": Behaviour(nonfinite=0.02),
    "twice as slow": Behaviour(median_s=0.024),
    "shifted labels": Behaviour(labels=(0.4, 0.5, 0.1)),
    "wrong pooling": Behaviour(positive=tuple(np.linspace(0.7, 0.3, DIRECTIONS).tolist())),
    "one request in twenty fails": Behaviour(fails=0.05),
}


@dataclass(kw_only=True)
class SimulatedServer:
    """Counts what callers would have been answered, and does to versions what it is told."""

    candidate: Behaviour
    before: Behaviour = GOOD
    rate: float = 20.0
    """Requests a second, of one text each."""
    seed: int = 0
    now_s: float = 0.0
    active: int = 1
    share: float = 0.0
    """Of the callers whom version 2 answers beside version 1."""
    done: list[str] = field(default_factory=list)
    blind: bool = False
    gone: bool = False
    held: bool = True
    """Whether it holds the repository."""

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)
        self.counts = {}
        self.asked = {1: 0, 2: 0}
        for version, behaviour in ((1, self.before), (2, self.candidate)):
            self._answer(version, behaviour, 0)

    def sleep(self, seconds):
        self.now_s += seconds
        asked = self.rng.poisson(self.rate * seconds)
        new = asked if self.active == 2 else self.rng.binomial(asked, self.share)
        self._answer(1, self.before, asked - new)
        self._answer(2, self.candidate, new)

    def read(self):
        if self.blind:
            raise OSError("no page")
        return dict(self.counts)

    def canary(self, version, share, *, at_least=False):
        self.share = max(self.share, share) if at_least else share
        self.done.append("canary")

    def end_canary(self):
        self.share = 0.0
        self.done.append("end canary")

    def promote(self, version):
        self.active, self.share = version, 0.0
        self.done.append("promote")
        return 1

    def rollback(self, *, of=None):
        assert of == self.active
        self.active = 1
        self.done.append("rollback")
        return 1

    def rollback_stopped(self, *, of=None):
        assert of == self.active
        self.active = 1
        self.done.append("rollback, stopped")
        return 1

    def end_canary_stopped(self, *, of):
        assert (of, bool(self.share)) == (2, True)
        self.share = 0.0
        self.done.append("end canary, stopped")

    def is_gone(self):
        return self.gone

    def stated(self):
        return self.active, 2 if self.share else None

    def watched(self, *, excused=None):
        """A promotion of version 2 with a watch, and what it reports."""
        served = [Served(pipeline="m", version=each, candidate="m_candidate", encode="m_encode") for each in (1, 2)]
        watch = Watch(*served, read=self.read, clock=lambda: self.now_s, excused=excused or {})
        return WatchedPromotion(
            watch=watch,
            versions=self,
            stated=lambda: self.stated(),
            is_held=self.held,
            report=self.done.append,
            clock=lambda: self.now_s,
            sleep=self.sleep,
        )

    def _answer(self, version, behaviour, asked):
        rng = self.rng
        self.asked[version] += asked
        nonfinite = rng.binomial(asked, behaviour.nonfinite)
        failed = nonfinite + rng.binomial(asked - nonfinite, behaviour.fails)
        answered = asked - failed
        seconds = np.sort(behaviour.median_s * np.exp(0.3 * rng.standard_normal(answered)))
        asked_as = "m" if version == self.active else "m_candidate"
        self._count("nv_inference_request_success", "m_head", version, answered)
        self._count("nv_inference_request_success", asked_as, 1, answered)  # as Triton 2.51 does
        for label in (1, version):
            self._count("nv_inference_request_failure", asked_as, label, failed, reason="OTHER")
        self._count("encserve_encoded_texts", "m_encode", version, asked)
        self._count("encserve_nonfinite_texts", "m_encode", version, nonfinite)
        for le in (*BOUNDS, np.inf):
            label = "+Inf" if np.isinf(le) else repr(le)
            own = np.searchsorted(seconds, le)
            name = "encserve_request_duration_seconds_bucket"
            self._count(name, "m_head", version, own, le=label, lane="interactive")
        for label, own in zip("abc", rng.multinomial(answered, behaviour.labels), strict=True):
            self._count("encserve_first_labels", "m_head", version, own, label=label)
        self._count("encserve_projected_vectors", "m_head", version, answered)
        for number, own in enumerate(rng.binomial(answered, behaviour.positive)):
            self._count("encserve_positive_projections", "m_head", version, own, direction=str(number))

    def _count(self, name, model, version, more, **labels):
        series = name, frozenset({("model", model), ("version", str(version)), *labels.items()})
        self.counts[series] = self.counts.get(series, 0.0) + float(more)


def dying(server, *, at, away_s=20.0):
    """The server dies at some seconds, and is started again after a while."""
    sleep, died = server.sleep, []

    def sleeping(seconds):
        sleep(seconds)
        for when in at:
            if server.now_s >= when and when not in died:
                died.append(when)
                server.counts = dict.fromkeys(server.counts, 0.0)
        server.blind = any(when <= server.now_s < when + away_s for when in at)

    server.sleep = sleeping
    return server


def gone_from(server, at_s, until_s=math.inf):
    """The server ends at some seconds, and is started again by others at some."""
    sleep = server.sleep

    def sleeping(seconds):
        sleep(seconds)
        server.blind = server.gone = at_s < server.now_s < until_s

    server.sleep = sleeping
    return server


def blind_from(server, step):
    """Let nothing be read any more once a step was done."""
    does = getattr(server, step)

    def then_blind(*given, **how):
        done = does(*given, **how)
        server.blind = True
        return done

    setattr(server, step, then_blind)
