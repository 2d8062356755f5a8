"""How the pipelines are, over HTTP on this host alone: for probes that need no secret and start no Python."""

import json
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from encserve_server.config import LOOPBACK
from encserve_server.errors import PortTaken
from encserve_server.liveness.judgement import ANSWERS, OVERLOADED
from encserve_server.processes.loops import start_loop

PATH = "/health"
LOOK_S = 0.5
"""Seconds between two looks whether the page is closed."""
States = Callable[[], Mapping[str, str]]


class HealthPage:
    """Answers `GET /health` from what supervision last saw, so that a probe costs nothing and waits for nothing.

    200 if every pipeline answers, overloaded ones among them; 503 if one does not, while nobody can look after them,
    and while the server starts. The answer is a JSON object: pipeline -> "answers", "overloaded", "silent", "fails" or
    "unknown".

    Args:
        port: Of loopback; 0 for any that is free.
        report: Takes what goes wrong, line by line.

    Raises:
        PortTaken: The port cannot be bound.
    """

    def __init__(self, port: int, *, report: Callable[[str], None]) -> None:
        self._report = report
        self._stopping = threading.Event()
        self._states: States = dict
        page = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 5  # seconds that a caller has to send its request

            def do_GET(self) -> None:
                page._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: probes come every few seconds."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            timeout = LOOK_S

            def handle_error(self, request: Any, client_address: Any) -> None:
                if not isinstance(error := sys.exception(), OSError):  # a probe that has hung up
                    report(f"a probe of health was not answered: {error!r}")

        try:
            self._http = Server((LOOPBACK, port), Handler)
        except OSError as error:
            raise PortTaken(f"port {port} of {LOOPBACK} is taken ({error.strerror}): see --health-port") from error

    @property
    def port(self) -> int:
        """The port that it has."""
        return self._http.server_port

    def show(self, states: States) -> None:
        """Answer with these from now on; no pipelines: the server starts."""
        self._states = states

    def __enter__(self) -> "HealthPage":
        self._thread = start_loop("health", self._serve, report=self._report)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._http.server_close()

    def _serve(self) -> bool:
        """Take one probe, or wait for one in vain, and return whether to go on."""
        if self._stopping.is_set():
            return False
        self._http.handle_request()
        return True

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.path != PATH:
            handler.send_error(404)
            return
        states = self._states()
        works = bool(states) and set(states.values()) <= {ANSWERS, OVERLOADED}
        body = json.dumps(states).encode() + b"\n"
        handler.send_response(200 if works else 503)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
