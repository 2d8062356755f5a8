"""A Triton server as a context manager."""

import os
import secrets
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

from encserve import Client, PipelineInfo, Tls
from encserve_repository.serving import marked_as_served
from encserve_server.administration.channel import Administration
from encserve_server.config import ServeConfig, reachable
from encserve_server.errors import TritonNotFound
from encserve_server.host.locate import Installation, find_triton
from encserve_server.host.offers import check_pipelines, read_offers
from encserve_server.host.platform import check_host, check_platform, has_nvidia_driver, read_host
from encserve_server.launcher.candidates import candidate_models, serve_candidates, with_fit_candidates
from encserve_server.launcher.cascades import check_cascades, unfit_cascades
from encserve_server.launcher.drain import drain
from encserve_server.launcher.environment import steps_environment, wheel_environment
from encserve_server.launcher.flags import triton_flags, wheel_flags
from encserve_server.launcher.live_code import LiveCode
from encserve_server.launcher.ports import check_ports
from encserve_server.launcher.readiness import Startup
from encserve_server.launcher.repository import check_traces, drop_damaged_code, drop_what_is_not_active, read_pipelines
from encserve_server.launcher.runtime_folder import RuntimeFolder, create_runtime_folder, sweep_stale
from encserve_server.processes.log import HARMLESS_WITHOUT_DRIVER, OF_A_CANDIDATE, ORDINARY_END
from encserve_server.processes.process import EXIT_MARGIN_S, TritonProcess
from encserve_server.processes.program import Program
from encserve_server.questions import ask, open_asker

ATTEMPT_TIMEOUT_S = 5.0
"""What a pipeline that has just been loaded has for one answer."""


def print_to_stderr(line: str) -> None:
    """Print one line for people, where anybody reads it."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def stopping(config: ServeConfig) -> str:
    """What happens after the first signal."""
    return f"stopping: requests in flight have {config.exit_timeout_s} s; Ctrl-C again ends them at once"


class TritonServer:
    """Serves a model repository on this host for as long as the `with` block lasts.

    with TritonServer(ServeConfig(repository=Path("model_repository"))) as server:
        Client(server.grpc_url).embed(["a text"], model=server.pipelines[0].name)

    Every pipeline has answered a request when the block begins, and no process and no shared memory is left when it has
    ended. The thread that enters the block must outlive it: the kernel stops the server when that thread ends.
    """

    def __init__(
        self,
        config: ServeConfig,
        *,
        probe: Callable[..., object] | None = None,
        report: Callable[[str], None] = print_to_stderr,
        restarts: int = 0,
    ) -> None:
        """`restarts` is how often supervision has started such a server again before this one, for its metrics."""
        self.config = config
        self._restarts = restarts
        self._with_candidates: list[PipelineInfo] = []
        self.pipelines: tuple[PipelineInfo, ...] = ()
        self.admin_secret = config.admin_secret or secrets.token_urlsafe(32)
        """The secret that opens Triton's administration to its sender; see `encserve.local_admin_secret`."""
        self.client_tls: Tls | None = None
        """What this process gives to a `Client` of its own server; None where the server does not encrypt."""
        self._probe = probe
        self._report = report
        self._process: TritonProcess | None = None
        self._folder: RuntimeFolder | None = None
        self._held = ExitStack()
        self._stopping = threading.Event()

    @property
    def grpc_url(self) -> str:
        """What `encserve.Client` takes."""
        return f"{self.config.client_host}:{self.config.grpc_port}"

    @property
    def http_url(self) -> str:
        """The root of the KServe V2 protocol over HTTP."""
        host = self.config.client_host if self.config.http_host == self.config.host else self.config.http_host
        return f"http://{host}:{self.config.http_port}"

    @property
    def metrics_url(self) -> str:
        """What Prometheus scrapes."""
        return f"http://{reachable(self.config.metrics_address)}:{self.config.metrics_port}/metrics"

    @property
    def process(self) -> TritonProcess:
        """The running server."""
        assert self._process is not None, "the server is not running"
        return self._process

    @property
    def pid(self) -> int:
        """The process id of `tritonserver`."""
        return self.process.pid

    @property
    def folder(self) -> Path:
        """What the server keeps while it runs, the pages of its steps among it."""
        assert self._folder is not None, "the server is not running"
        return self._folder.path

    def stub_pids(self) -> tuple[int, ...]:
        """The processes in which the Python backend runs the models."""
        return self.process.stub_pids()

    def open_asker(self, *, timeout_s: float) -> Client:
        """A client for questions of health, which the server answers however much waits. It is closed once the server
        has stopped: while a step is dead, closing it would wait for an answer."""
        return self._held.enter_context(
            open_asker(self.grpc_url, tls=self.client_tls, timeout_s=timeout_s, admin_secret=self.admin_secret)
        )

    def __enter__(self) -> "TritonServer":
        """Verify, start, and wait until every pipeline answers.

        Raises:
            ConfigError: a certificate or a key is unfit.
            RepositoryError: a pipeline is missing, that of a cascade among them, or a file of it is not the certified
                one.
            TritonNotFound: there is no `tritonserver`.
            UnsupportedHost: the one of the wheel cannot run here.
            PortTaken: a port cannot be bound.
            StartFailed: Triton ended or was not ready in time.
            ContractError: a pipeline has another version of the contract, or does not describe itself.
            EncserveError: a pipeline answered its first request with an error.
        """
        self.client_tls = self.config.tls.own_client() if self.config.tls else None
        try:
            self._start(*self._prepare())
        except BaseException:
            self.stop(at_once=True)
            raise
        return self

    def _prepare(self) -> tuple[Installation, dict[str, str]]:
        """Verify. Returns the Triton that will run, and its environment."""
        # Before anything is read: an export that ends now leaves active what was verified.
        self._held.enter_context(marked_as_served(self.config.repository))
        self.pipelines = read_pipelines(self.config.repository, self.config.models)
        check_cascades(self.pipelines)
        installation = self._find_triton()
        offers = read_offers(installation)
        check_pipelines(self.config.repository, self.pipelines, offers)
        if self.config.otlp and self.config.live_code is None:
            check_traces(self.config.repository, self.pipelines)
        self._with_candidates = with_fit_candidates(self.config.repository, self.pipelines, offers, report=self._report)
        for line in unfit_cascades(self.pipelines):
            self._report(line)
        drop_what_is_not_active(self.config.repository)
        drop_damaged_code(self.config.repository, self.pipelines)
        environment = dict(os.environ)
        if installation.wheel is not None:
            host = read_host()
            check_host(host)
            environment = wheel_environment(os.environ, wheel=installation.wheel, libpython=host.libpython)
        for address, ports in self.config.ports_by_address.items():
            check_ports(address, ports)
        for stem in sweep_stale():
            self._report(f"removed what {stem} had left behind")
        return installation, environment

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.stop()

    @staticmethod
    def _find_triton() -> Installation:
        try:
            return find_triton()
        except TritonNotFound:
            check_platform(read_host())  # where no wheel would help, say so instead
            raise

    def _start(self, installation: Installation, environment: dict[str, str]) -> None:
        self._folder = create_runtime_folder()
        self._held.callback(self._folder.remove)
        self._folder.keep_admin_secret(self.admin_secret, grpc_port=self.config.grpc_port)
        wheel, has_gpu = installation.wheel, has_nvidia_driver()
        names = [pipeline.name for pipeline in self.pipelines]
        live_code = LiveCode(
            config=self.config,
            folder=self.folder,
            pipelines=names,
            load=self._load_again,
            report=self._report,
            stopping=self._stopping,
        )
        flags = triton_flags(
            self._held.enter_context(live_code.served()),
            pipelines=names,
            shm_prefix=self._folder.shm_prefix,
            admin_secret=self.admin_secret,
            has_gpu=has_gpu,
        )
        if wheel is not None:
            flags += wheel_flags(backend_folder=self._folder.link_backends(wheel), cache_folder=wheel.cache_folder)
        told = steps_environment(
            self.config,
            inherited=environment,
            folder=self._folder.path,
            admin_secret=self.admin_secret,
            restarts=self._restarts,
        )
        self._process = TritonProcess(
            Program(
                command=[str(installation.executable), *flags],
                environment=environment | told,
                inherited_fds=[self._folder.lock_fd],
                exit_timeout_s=self.config.exit_timeout_s + EXIT_MARGIN_S,
            ),
            show=self._report,
            hidden=(*ORDINARY_END, *OF_A_CANDIDATE, *(() if has_gpu else HARMLESS_WITHOUT_DRIVER)),
        )
        asker = self.open_asker(timeout_s=ATTEMPT_TIMEOUT_S)
        startup = Startup(self._process, timeout_s=self.config.startup_timeout_s, report=self._report)
        startup.wait_for_port((self.config.client_host, self.config.grpc_port))
        startup.wait_for_answers(
            self.pipelines, probe=partial(ask, asker) if self._probe is None else self._probe_given
        )
        with closing(self._administration()) as administration:
            serve_candidates(
                self.config.repository,
                self._with_candidates,
                administration=administration,
                asker=asker,
                report=self._report,
            )

    def _load_again(self, model: str) -> None:
        with closing(self._administration()) as administration:
            administration.load(model)

    def _administration(self) -> Administration:
        return Administration(self.grpc_url, tls=self.client_tls, admin_secret=self.admin_secret)

    def _probe_given(self, pipeline: PipelineInfo) -> None:
        assert self._probe is not None
        tls = {"tls": self.client_tls} if self.client_tls else {}
        self._probe(self.grpc_url, pipeline, **tls)

    def stop(self, *, at_once: bool = False) -> None:
        """Let requests in flight finish, stop the server, and remove its traces. Stopping twice is harmless.

        `at_once` is for a server that does not answer, any more or yet: it gives up what is in flight.
        """
        self._stopping.set()
        process, self._process = self._process, None
        try:
            if process is not None:
                left_s = 0.0
                try:
                    if not at_once:
                        left_s = self._drain(process)
                finally:  # after a second signal, too
                    process.stop(left_s)
        finally:
            self._folder = None
            self._held.close()

    def _drain(self, process: TritonProcess) -> float:
        """Returns what is left of the time."""
        names = [pipeline.name for pipeline in self.pipelines]
        names += candidate_models(self.config.repository, self.pipelines)
        with closing(self._administration()) as administration:
            drained = drain(process, self.folder, administration, names, float(self.config.exit_timeout_s))
        for failure in drained.failures:
            self._report(failure)
        return drained.left_s
