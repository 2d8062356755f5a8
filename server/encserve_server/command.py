"""`encserve serve`: serve a model repository on this host until asked to stop."""

import argparse
import ipaddress
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encserve_server import steps
from encserve_server.candidate_arguments import share_of
from encserve_server.config import ServeConfig
from encserve_server.description import describe
from encserve_server.errors import ConfigError, GaveUp, ServerDied
from encserve_server.processes.interruption import interruption
from encserve_server.steps.trace.settings import COLLECTOR_VARIABLE, IDS_VARIABLE, SHARE_VARIABLE, trace_settings
from encserve_server.tls import ServerTls

if TYPE_CHECKING:
    from encserve_server.launcher.gateway import GatewayBeside

SUMMARY = "serve a model repository on this host"

CHECK_S = 0.5
GATEWAY_PORT = 8080
EXIT_GAVE_UP = 75
"""EX_TEMPFAIL: what is served may well be served, by another process or on another host."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, with the defaults of `ServeConfig`."""
    default = ServeConfig()
    parser.add_argument(
        "--repository", type=Path, default=default.repository, metavar="FOLDER", help="default: %(default)s"
    )
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME", help="serve this pipeline; repeatable; default: all"
    )
    parser.add_argument("--host", default=default.host, help="IPv4 address to bind (default: %(default)s)")
    parser.add_argument(
        "--metrics-host",
        default=default.metrics_host,
        metavar="HOST",
        help="IPv4 address to bind for the metrics, which have no login (default: that of --host)",
    )
    parser.add_argument("--http-port", type=int, default=default.http_port, help="default: %(default)s")
    parser.add_argument("--grpc-port", type=int, default=default.grpc_port, help="default: %(default)s")
    parser.add_argument("--metrics-port", type=int, default=default.metrics_port, help="default: %(default)s")
    parser.add_argument(
        "--startup-timeout-s",
        type=float,
        default=default.startup_timeout_s,
        metavar="SECONDS",
        help="how long the pipelines may take until they answer (default: %(default)g)",
    )
    parser.add_argument(
        "--exit-timeout-s",
        type=int,
        default=default.exit_timeout_s,
        metavar="SECONDS",
        help="how long requests in flight may take at the end (default: %(default)s)",
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="encrypt gRPC with this certificate (PEM)")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the private key of --tls-cert")
    parser.add_argument("--tls-client-ca", type=Path, metavar="FILE", help="let in clients of these authorities only")
    parser.add_argument(
        "--tls-probe-cert", type=Path, metavar="FILE", help="one from --tls-client-ca, for the server's own checks"
    )
    parser.add_argument("--tls-probe-key", type=Path, metavar="FILE", help="the private key of --tls-probe-cert")
    parser.add_argument(
        "--supervise",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="ask every pipeline a question each half second, and start the server again when one does not answer",
    )
    parser.add_argument(
        "--health-port",
        type=int,
        default=default.health_port,
        metavar="PORT",
        help="say on http://127.0.0.1:PORT/health how the pipelines are (default: nowhere)",
    )
    parser.add_argument(
        "--live-code",
        type=Path,
        nargs="?",
        const=Path(steps.__file__).parent,
        metavar="FOLDER",
        help="for developing the steps: run their code out of this folder (default: that of the installed encserve), "
        "and load it again whenever a file of it changes; it is not what was certified",
    )
    parser.add_argument(
        "--gateway",
        nargs="?",
        const="",
        metavar="OPTIONS",
        help="run `encserve gateway` beside the server, too, with these options of its own in one word, such as "
        "--gateway='--alias small=minilm'",
    )
    parser.add_argument(
        "--gateway-port",
        type=int,
        default=GATEWAY_PORT,
        metavar="PORT",
        help="port of --gateway (default: %(default)s)",
    )
    parser.add_argument(
        "--otlp",
        metavar="http://HOST:4318",
        help="tell this collector of OpenTelemetry how requests spend their time: those that come with a sampled "
        f"trace, and a share of the others (default: {COLLECTOR_VARIABLE}, else none)",
    )
    parser.add_argument(
        "--trace-share",
        type=share_of,
        metavar="SHARE",
        help=f"of the requests without a trace, such as 1%% or 0.01 (default: {SHARE_VARIABLE}, else "
        f"{default.trace_share:.0%}%)",
    )
    parser.add_argument(
        "--trace-request-ids",
        action=argparse.BooleanOptionalAction,
        help=f"tell the collector the ids that callers gave their requests, too (default: {IDS_VARIABLE}, else not)",
    )
    parser.add_argument("--verbose", action="store_true", help="show Triton's information messages too")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP. Returns 0 after such a stop, and `EXIT_GAVE_UP` where supervision gave up.

    Raises:
        ServerDied: Triton ended by itself, and nobody supervises it.
        EncserveError: it did not start; see `TritonServer.__enter__`, and `GatewayBeside.__enter__`.
    """
    from encserve_server.launcher.gateway import GatewayBeside, gateway_command
    from encserve_server.launcher.server import print_to_stderr  # Linux only, and gRPC takes its time to import

    config = config_of(arguments)
    if config.health_port and not arguments.supervise:
        raise ConfigError("--health-port shows what supervision sees; it does not go with --no-supervise")
    if not config.is_loopback:
        print_to_stderr(exposure_warning(config))
    command = None if arguments.gateway is None else gateway_command(config, arguments.gateway_port, arguments.gateway)
    interruption.follow_signals()
    try:
        with ExitStack() as stack:
            gateway = None
            if command is not None:  # first, so that a mistake of its options costs no start of Triton
                beside = GatewayBeside(command, exit_timeout_s=config.exit_timeout_s, report=print_to_stderr)
                gateway = stack.enter_context(beside)
            serve = _supervise if arguments.supervise else _serve_once
            return serve(config, gateway)
    except KeyboardInterrupt:  # while it started, or the second one
        return 0


def _serve_once(config: ServeConfig, gateway: "GatewayBeside | None") -> int:
    from encserve_server.launcher.server import TritonServer, print_to_stderr, stopping

    with TritonServer(config) as server:
        print(describe(server, gateway), flush=True)
        try:
            while server.process.is_alive:
                server.process.wait(CHECK_S)
                interruption.check()
        except KeyboardInterrupt:
            interruption.arrived()
            print_to_stderr(stopping(config))
            if gateway is not None:
                gateway.stop()  # before the server, which its requests in flight need
            return 0
        raise ServerDied(server.process.describe_end())


def _supervise(config: ServeConfig, gateway: "GatewayBeside | None") -> int:
    from encserve_server.launcher.server import print_to_stderr
    from encserve_server.liveness.health_page import HealthPage
    from encserve_server.liveness.supervision import supervise

    page = HealthPage(config.health_port, report=print_to_stderr) if config.health_port else None
    try:
        supervise(
            config,
            report=print_to_stderr,
            serving=lambda server: print(describe(server, gateway), flush=True),
            page=page,
            before_stop=gateway.stop if gateway else lambda: None,
        )
    except GaveUp as error:
        print_to_stderr(f"encserve: error: {error}")
        return EXIT_GAVE_UP
    except KeyboardInterrupt:
        print_to_stderr("stopped")
    return 0


def config_of(arguments: argparse.Namespace) -> ServeConfig:
    """Return the configuration that the arguments of the command ask for. Raises ConfigError."""
    return ServeConfig(
        repository=arguments.repository,
        models=tuple(arguments.model),
        host=arguments.host,
        metrics_host=arguments.metrics_host,
        health_port=arguments.health_port,
        http_port=arguments.http_port,
        grpc_port=arguments.grpc_port,
        metrics_port=arguments.metrics_port,
        startup_timeout_s=arguments.startup_timeout_s,
        exit_timeout_s=arguments.exit_timeout_s,
        tls=_tls(arguments),
        live_code=arguments.live_code,
        **_traces(arguments, os.environ),
        admin_secret=os.environ.get("ENCSERVE_ADMIN_SECRET", ""),
        verbose=arguments.verbose,
    )


def exposure_warning(config: ServeConfig) -> str:
    """Return what is wrong with an address that other hosts reach."""
    if ipaddress.IPv4Address(config.host).is_loopback:
        return f"warning: the metrics on {config.metrics_address} are reachable from other hosts, and have no login"
    plain = "gRPC and HTTP are not encrypted (--tls-cert encrypts gRPC), " if config.tls is None else ""
    open_to_all = "" if config.tls and config.tls.client_ca else "every host that reaches the port may ask it, "
    return (
        f"warning: {config.host} is reachable from other hosts: {plain}{open_to_all}and Triton before 26.08, such as "
        "2.51 of the nvidia-pytriton wheel, has known holes. Put it behind deploy/gateway, or use 127.0.0.1"
    )


def _traces(arguments: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what the options say of traces, and where they say nothing the environment. Raises ConfigError."""
    given = {COLLECTOR_VARIABLE: arguments.otlp} if arguments.otlp is not None else {}
    try:
        settings = trace_settings({**environment, **given})
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if settings is None:
        return {}
    share, ids = arguments.trace_share, arguments.trace_request_ids
    return {
        "otlp": settings.collector,
        "trace_share": settings.share if share is None else share,
        "trace_request_ids": settings.request_ids if ids is None else ids,
    }


def _tls(arguments: argparse.Namespace) -> ServerTls | None:
    """Return the certificates, where any is given."""
    cert, key = arguments.tls_cert, arguments.tls_key
    others = (arguments.tls_client_ca, arguments.tls_probe_cert, arguments.tls_probe_key)
    if cert is None and key is None and others == (None, None, None):
        return None
    if cert is None or key is None:
        raise ConfigError("--tls-cert and --tls-key go together, and the other --tls options need both")
    return ServerTls(cert=cert, key=key, client_ca=others[0], probe_cert=others[1], probe_key=others[2])
