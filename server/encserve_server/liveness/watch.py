"""Noticing that a server no longer does its work: by asking it, as a caller would."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress

from encserve import Client, EncserveError, InvalidInput, PipelineInfo, TransportError
from encserve_repository.config_text import steps_of
from encserve_repository.versions import active_config
from encserve_server.launcher.server import TritonServer
from encserve_server.liveness.changed_files import ChangedFiles
from encserve_server.liveness.judgement import Judgement, Signs
from encserve_server.liveness.signs import metrics_of, total, wanted_cpu_s
from encserve_server.processes.interruption import interruption
from encserve_server.processes.steps import StepProcesses, in_words
from encserve_server.questions import ask
from encserve_server.steps.instance.load_page import process_state

CHECK_S = 0.5
"""Seconds between two rounds of questions."""
LOOK_S = 0.05
"""Seconds between two looks whether a process has died, also while a question waits for its answer."""
PROBE_TIMEOUT_S = 2.0
UNKNOWN = "unknown"
"""The state of a pipeline that nobody can look after for now."""
BLIND_S = 60.0
"""Seconds for which nobody could look after a server until it is started again, as where this process has no
descriptors."""


class Watch:
    """Looks after one running server, in rounds.

    Args:
        server: has begun to answer.
        report: takes what goes wrong in a round.
    """

    def __init__(self, server: TritonServer, *, report: Callable[[str], None]) -> None:
        self._server = server
        self._pipelines: Sequence[PipelineInfo] = server.pipelines
        self._report = report
        self._stopped_before: set[int] = set()
        self._steps = StepProcesses(server.process.stub_pids)
        self._doors: dict[str, str] = {}
        """Pipeline -> the step that lets its requests in, as far as that has been read."""
        self._files = ChangedFiles(
            server.config.repository, [pipeline.name for pipeline in server.pipelines], report=report
        )
        self._questions = ThreadPoolExecutor(1, thread_name_prefix="question")
        with suppress(OSError):  # each round looks again
            self._steps.see()
        self._looked_s = time.monotonic()
        self._is_blind = False
        self.judgement = Judgement([pipeline.name for pipeline in server.pipelines])

    @property
    def states(self) -> Mapping[str, str]:
        """The state of each pipeline as in `Judgement.states`, or UNKNOWN for all while nobody can look after them. Any
        thread may ask."""
        states = self.judgement.states
        return dict.fromkeys(states, UNKNOWN) if self._is_blind else states

    def until_it_fails(self) -> str:
        """Return, as soon as the server does not work any more, what is wrong with it. Raises KeyboardInterrupt: this
        process was asked to stop."""
        asker = self._server.open_asker(timeout_s=PROBE_TIMEOUT_S)
        try:
            while True:
                self._rest()
                if problem := self._guarded_round(asker):
                    return problem
        finally:
            self._questions.shutdown(wait=False)

    def _rest(self) -> None:
        """Wait until the next round is due, or a process has ended."""
        until_s = time.monotonic() + CHECK_S
        while True:
            time.sleep(LOOK_S)
            interruption.check()
            if time.monotonic() >= until_s or not self._server.process.is_alive or self._steps.have_ended():
                return

    def _guarded_round(self, asker: Client) -> str:
        """Do a round, and return what is wrong with the server. A fault of this process ends no watch, unless it
        lasts."""
        try:
            problem = self._round(asker)
        except Exception as error:
            self._is_blind = True
            blind_s = time.monotonic() - self._looked_s
            self._report(f"nobody looks after the server for {blind_s:.1f} s now: {error!r}")
            return f"nobody could look after it for {blind_s:.0f} s: {error!r}" if blind_s > BLIND_S else ""
        self._looked_s = time.monotonic()
        self._is_blind = False
        return problem

    def _round(self, asker: Client) -> str:
        process = self._server.process
        if not process.is_alive:
            return process.describe_end()
        if died := self._died():
            return died
        stubs = self._steps.see()
        self._files.begin_to_look()
        stopped = {pid for pid in (process.pid, *stubs) if process_state(pid) == "T"}
        if still := stopped & self._stopped_before:
            return f"processes {sorted(still)} are stopped"
        self._stopped_before = stopped
        if stopped:  # an answer would be waited for in vain
            return ""
        metrics = metrics_of(self._server.metrics_url)
        for pipeline in self._pipelines:
            name = pipeline.name
            self.judgement.refused(name, total(metrics, "encserve_refused_requests", self._door(name)))
            problem = ""
            try:
                if died := self._ask(asker, pipeline):
                    return died
                self.judgement.answered(name)
            except EncserveError as error:
                if died := self._died():  # in the last moment
                    return died
                # Of a process that died Triton says INTERNAL; else nobody answered, or we were refused after all.
                if isinstance(error, TransportError) and error.status != "INTERNAL":
                    now = metrics_of(self._server.metrics_url)
                    # Of steps that answer after `execute` Triton counts what they took in; of an ensemble its answers.
                    answers = total(now, "nv_inference_request_success", name)
                    problem = self.judgement.silent(name, error, Signs(answers=answers, cpu_s=wanted_cpu_s(stubs)))
                else:
                    problem = self.judgement.failed(name, error)
                    if isinstance(error, InvalidInput):  # of a version that was promoted, and is asked in another way
                        served = {each.name: each for each in asker.models()}
                        self._pipelines = [served.get(each.name, each) for each in self._pipelines]
            if problem:
                return problem
        return ""

    def _door(self, name: str) -> str:
        """Return the step by which requests enter a pipeline; versions change, and steps keep their names."""
        if name not in self._doors:
            config = active_config(self._server.config.repository, name)
            if config is None:
                return name
            self._doors[name] = next(iter(steps_of(config)), name)
        return self._doors[name]

    def _ask(self, asker: Client, pipeline: PipelineInfo) -> str:
        """Ask a pipeline a question. Returns what has died before there was an answer, and empty where there is one; a
        question to a step that has died is answered after seconds only. Raises what the question raises."""
        question = self._questions.submit(ask, asker, pipeline)
        while not wait([question], LOOK_S).done:
            interruption.check()
            if self._steps.have_ended() and (died := self._died()):
                return died
        question.result()
        return ""

    def _died(self) -> str:
        """Return what has died of the pipelines; empty where nothing has. What a promotion tries beside them may die:
        it sees that by itself."""
        died = self._steps.died()
        if not died:
            return ""
        served = [active_config(self._server.config.repository, each.name) for each in self._pipelines]
        steps = {step for config in served if config is not None for step in steps_of(config).items()}
        return in_words([step for step in died if step in steps])
