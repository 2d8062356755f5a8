"""A Triton server as a context manager."""

import os
import secrets
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType

from encserve import PipelineInfo, Tls
from encserve_server.config import ServeConfig, reachable
from encserve_server.drain import drain
from encserve_server.engines import check_engines, read_engines
from encserve_server.environment import wheel_environment
from encserve_server.errors import TritonNotFound
from encserve_server.flags import triton_flags
from encserve_server.host import check_host, check_platform, has_nvidia_driver, read_host
from encserve_server.locate import Installation, find_triton
from encserve_server.log import HARMLESS_WITHOUT_DRIVER, OF_A_CANDIDATE, ORDINARY_END
from encserve_server.models.load_page import FOLDER_VARIABLE
from encserve_server.ports import check_ports
from encserve_server.process import TritonProcess
from encserve_server.readiness import Probe, probe_pipeline, wait_until_ready
from encserve_server.repository import read_pipelines
from encserve_server.runtime_folder import RuntimeFolder, create_runtime_folder, sweep_stale


def print_to_stderr(line: str) -> None:
    """Print one line for people."""
    print(line, file=sys.stderr, flush=True)


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
        probe: Probe = probe_pipeline,
        report: Callable[[str], None] = print_to_stderr,
    ) -> None:
        self.config = config
        self.pipelines: tuple[PipelineInfo, ...] = ()
        self.admin_secret = config.admin_secret or secrets.token_urlsafe(32)
        """Opens Triton's administration to whoever sends it; see `encserve.local_admin_secret`."""
        self.client_tls: Tls | None = None
        """What this process gives to a `Client` of its own server; None where the server does not encrypt."""
        self._probe = probe
        self._report = report
        self._process: TritonProcess | None = None
        self._folder: RuntimeFolder | None = None

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

    def ask(self, pipeline: PipelineInfo, *, timeout_s: float) -> None:
        """Ask one question, as a client would. Raises EncserveError."""
        probe_pipeline(self.grpc_url, pipeline, tls=self.client_tls, timeout_s=timeout_s)

    def __enter__(self) -> "TritonServer":
        """Verify, start, and wait until every pipeline answers.

        Raises:
            ConfigError: a certificate or a key is unfit.
            RepositoryError: a pipeline is missing, or a file of it is not the certified one.
            TritonNotFound: there is no `tritonserver`.
            UnsupportedHost: the one of the wheel cannot run here.
            PortTaken: a port cannot be bound.
            StartFailed: Triton ended or was not ready in time.
            ContractError: a pipeline has another version of the contract, or does not describe itself.
            EncserveError: a pipeline answered its first request with an error.
        """
        self.client_tls = self.config.tls.own_client() if self.config.tls else None
        self.pipelines = read_pipelines(self.config.repository, self.config.models)
        installation = self._find_triton()
        check_engines(self.config.repository, self.pipelines, read_engines(installation))
        environment = dict(os.environ)
        if installation.wheel is not None:
            host = read_host()
            check_host(host)
            environment = wheel_environment(os.environ, wheel=installation.wheel, libpython=host.libpython)
        for address, ports in self.config.ports_by_address.items():
            check_ports(address, ports)
        for stem in sweep_stale():
            self._report(f"removed what {stem} had left behind")
        try:
            self._start(installation, environment)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
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
        self._folder.keep_admin_secret(self.admin_secret, grpc_port=self.config.grpc_port)
        wheel, has_gpu = installation.wheel, has_nvidia_driver()
        flags = triton_flags(
            self.config,
            pipelines=[pipeline.name for pipeline in self.pipelines],
            shm_prefix=self._folder.shm_prefix,
            admin_secret=self.admin_secret,
            has_gpu=has_gpu,
            backend_folder=self._folder.link_backends(wheel) if wheel else None,
            cache_folder=wheel.cache_folder if wheel else None,
        )
        self._process = TritonProcess(
            [str(installation.executable), *flags],
            environment={**environment, FOLDER_VARIABLE: str(self._folder.path)},
            inherited_fd=self._folder.lock_fd,
            show=self._report,
            hidden=(*ORDINARY_END, *OF_A_CANDIDATE, *(() if has_gpu else HARMLESS_WITHOUT_DRIVER)),
            exit_timeout_s=self.config.exit_timeout_s,
        )
        wait_until_ready(
            self._process,
            self.pipelines,
            address=(self.config.client_host, self.config.grpc_port),
            timeout_s=self.config.startup_timeout_s,
            probe=partial(self._probe, tls=self.client_tls) if self.client_tls else self._probe,
            report=self._report,
        )

    def stop(self, *, at_once: bool = False) -> None:
        """Let requests in flight finish, stop the server, and remove its traces. Stopping twice is harmless.

        `at_once` is for a server that no longer answers: it gives up what is in flight.
        """
        process, self._process = self._process, None
        folder, self._folder = self._folder, None
        try:
            if process is not None:
                left_s = 0.0 if at_once else float(self.config.exit_timeout_s)
                try:
                    if folder is not None and not at_once:
                        left_s = drain(process, folder.path, left_s)
                except BaseException:  # a second signal
                    left_s = 0.0
                    raise
                finally:
                    process.stop(left_s)
        finally:
            if folder is not None:
                folder.remove()
