"""A server that is started again whenever it stops doing its work."""

import time
from collections.abc import Callable
from contextlib import nullcontext, suppress

from encserve import EncserveError
from encserve_repository.serving import marked_as_served
from encserve_server.config import ServeConfig
from encserve_server.errors import GaveUp, StartFailed
from encserve_server.launcher.server import TritonServer, stopping
from encserve_server.liveness.health_page import HealthPage
from encserve_server.liveness.watch import Watch
from encserve_server.processes.interruption import interruption

AT_ONCE = 3
"""Ends in a row after which the next start does not wait."""
FIRST_APART_S = 1.0
"""The seconds between the beginnings of the last start and the next after one more end in a row; twice as many after
each further one. A server that has worked for longer is started again at once."""
FURTHEST_APART_S = 30.0
STEADY_S = 60.0
"""A server that has worked for so long has not failed in a row with the one before."""
MOST_FAILURES = 10
"""Ends and failed starts in a row after which supervision gives up: an orchestrator may have another host."""


def supervise(
    config: ServeConfig,
    *,
    report: Callable[[str], None],
    serving: Callable[[TritonServer], None],
    page: HealthPage | None = None,
    before_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve until this is interrupted, by an exception such as the KeyboardInterrupt of a signal, which drains the
    server.

    Args:
        config: of the server.
        report: takes what happens, line by line; raises nothing.
        serving: called with each server that has begun to answer.
        page: tells others how the pipelines are.
        before_stop: called when this is interrupted while a server serves, before that is drained.

    Raises:
        EncserveError: the first start failed; later ones are tried again, further and further apart.
        GaveUp: `MOST_FAILURES` ends and failed starts came in a row.
    """
    supervision = _Supervision(config, report, serving, page, before_stop)
    # A server that is about to start again still serves what is active.
    with page or nullcontext(), marked_as_served(config.repository):
        while True:
            supervision.pause_before_next(supervision.serve_once())


class _Supervision:
    def __init__(
        self,
        config: ServeConfig,
        report: Callable[[str], None],
        serving: Callable[[TritonServer], None],
        page: HealthPage | None,
        before_stop: Callable[[], None],
    ) -> None:
        self._config = config
        self._report = report
        self._serving = serving
        self._page = page
        self._before_stop = before_stop
        self._has_served = False
        self._failures = 0
        self._starts = 0
        """Servers that were started, or tried to be."""
        self._began_s = 0.0
        """When the last of these starts began."""
        self._worked_s = 0.0
        """For how long the last server has worked."""

    def serve_once(self) -> str:
        """Serve until the server does not work any more. Returns what is wrong with it, whatever that is."""
        server = TritonServer(self._config, report=self._report, restarts=self._starts)
        self._starts += 1
        self._began_s = time.monotonic()
        since_s, at_once = None, True
        try:
            if problem := self._start(server):
                return problem
            since_s = time.monotonic()
            return self._look_after(server)
        except Exception:
            raise
        except BaseException:  # a signal
            interruption.arrived()
            if since_s is not None:
                self._report(stopping(self._config))
                self._before_stop()
            at_once = False
            raise
        finally:
            self._worked_s = 0.0 if since_s is None else time.monotonic() - since_s
            if self._page is not None:
                self._page.show(lambda: {})
            self._stop(server, at_once=at_once)

    def _start(self, server: TritonServer) -> str:
        """Start a server. Returns why it did not start, but of the first one raises it."""
        try:
            server.__enter__()
        except Exception as error:  # as where there is no memory for a process, or no room in /dev/shm
            if self._has_served:
                return f"the server did not start again: {_words(error)}"
            if isinstance(error, OSError):
                raise StartFailed(f"the server could not be started: {error}") from error
            raise
        self._has_served = True
        return ""

    def _look_after(self, server: TritonServer) -> str:
        try:
            watch = Watch(server, report=self._report)
            if self._page is not None:
                self._page.show(lambda: watch.states)
            with suppress(OSError):  # nobody reads what we print
                self._serving(server)
            return watch.until_it_fails()
        except Exception as error:
            return f"it could not be looked after: {_words(error)}"

    def _stop(self, server: TritonServer, *, at_once: bool) -> None:
        try:
            server.stop(at_once=at_once)
        except Exception as error:  # what it left is swept before a start
            self._report(f"the server was not stopped as it should be: {_words(error)}")

    def pause_before_next(self, problem: str) -> None:
        """Say what ended the last server, and wait until the next may start. Raises GaveUp."""
        self._failures = 1 if self._worked_s >= STEADY_S else self._failures + 1
        if self._failures >= MOST_FAILURES:
            raise GaveUp(f"gave up after {self._failures} times in a row: {problem}")
        pause_s = 0.0
        if self._failures > AT_ONCE:
            apart_s = min(FIRST_APART_S * 2 ** (self._failures - AT_ONCE - 1), FURTHEST_APART_S)
            pause_s = max(0.0, self._began_s + apart_s - time.monotonic())
        when = f" in {pause_s:.1f} s" if pause_s else ""
        self._report(f"starting the server again{when}: {problem}")
        interruption.check()
        time.sleep(pause_s)


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, EncserveError) else repr(error)
