"""A server that is started again whenever it stops doing its work."""

import time
from collections.abc import Callable

from encserve import EncserveError
from encserve_server.config import ServeConfig
from encserve_server.server import TritonServer
from encserve_server.watch import watch

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


def supervise(config: ServeConfig, *, report: Callable[[str], None], serving: Callable[[TritonServer], None]) -> None:
    """Serve for ever. What ends it is an exception, such as the KeyboardInterrupt of a signal, which drains the server.

    Args:
        config: of the server.
        report: takes what happens, line by line.
        serving: called with each server that has begun to answer.

    Raises:
        EncserveError: the first start failed; later ones are tried again, with growing pauses.
    """
    started_before = False
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            server = TritonServer(config, report=report)
            server.__enter__()
        except EncserveError as error:
            if not started_before:
                raise
            report(f"the server did not start again, next try in {pause_s:g} s: {error}")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            continue
        started_before, pause_s = True, FIRST_PAUSE_S
        at_once = False
        try:
            serving(server)
            report(f"starting the server again: {watch(server)}")
            at_once = True
        finally:
            server.stop(at_once=at_once)
