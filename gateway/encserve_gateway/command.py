"""`encserve gateway`: HTTP in front of the pipelines of a server, until it is asked to stop."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from encserve import InvalidInput
from encserve._commands.server_arguments import access_of, add_tls_arguments
from encserve_gateway.aliases import parse_alias
from encserve_gateway.bodies.vocabulary import read_vocabulary
from encserve_gateway.config import MIB, GatewayConfig
from encserve_gateway.keys import Keys
from encserve_gateway.observation.tracing import check_packages
from encserve_gateway.sample_config import SampleConfig
from encserve_gateway.serving import ServingConfig, connect, serve

IDS_VARIABLE = "ENCSERVE_TRACE_REQUEST_IDS"
"""What `--trace-request-ids` is where it is not given, "1" or "0", as for `encserve serve`."""

SUMMARY = "speak HTTP with the clients of OpenAI and others, in front of the pipelines of a server"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, with the defaults of `ServingConfig` and `GatewayConfig`."""
    default, serving = GatewayConfig(), ServingConfig()
    pipelines = parser.add_argument_group("the pipelines")
    pipelines.add_argument(
        "--url",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="gRPC endpoint of the server, or dns:///HOST:PORT for all that a name stands for; repeatable for replicas "
        f"(default: {serving.url})",
    )
    add_tls_arguments(pipelines)
    pipelines.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME[,NAME...]",
        help="offer these pipelines; repeatable; default: all",
    )
    pipelines.add_argument(
        "--alias",
        action="append",
        default=[],
        metavar="NAME=PIPELINE[,SETTING=VALUE...]",
        help="offer a pipeline under another name; repeatable. Settings: prompt_name, dimensions, truncate, adapter",
    )
    pipelines.add_argument(
        "--timeout-s", type=float, default=serving.timeout_s, metavar="SECONDS",
        help="how long the pipelines have for a request (default: %(default)g)",
    )  # fmt: skip
    pipelines.add_argument(
        "--token-vocabulary",
        type=Path,
        metavar="FILE",
        help="decode ids of tokens, which LangChain sends, with this file, such as cl100k_base.tiktoken",
    )
    listening = parser.add_argument_group("where it listens")
    listening.add_argument("--host", default=serving.host, help="address to bind (default: %(default)s)")
    listening.add_argument("--port", type=int, default=serving.port, help="default: %(default)s")
    listening.add_argument(
        "--allow-anonymous", action="store_true", help="let whoever reaches --host from other hosts ask the pipelines"
    )
    listening.add_argument(
        "--workers", type=int, default=serving.workers, metavar="N", help="processes (default: %(default)s)"
    )
    listening.add_argument("--keys", type=Path, metavar="FILE", help="want one of these API keys; see docs/gateway.md")
    listening.add_argument("--public-models", action="store_true", help="tell the list of models without a key")
    listening.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="https://HOST",
        help="let pages of this origin ask, in browsers; repeatable; default: none",
    )
    parser.add_argument(
        "--otlp",
        default=default.otlp,
        metavar="http://HOST:4318",
        help="tell this collector of OpenTelemetry about every request (default: none)",
    )
    parser.add_argument(
        "--trace-request-ids",
        action=argparse.BooleanOptionalAction,
        help="tell the collector the ids of requests and the names of their keys, too "
        f"(default: {IDS_VARIABLE}, else not)",
    )
    samples = parser.add_argument_group("texts that keys ask to be kept")
    samples.add_argument(
        "--sampled-log",
        type=lambda folder: Path(folder) if folder else None,  # what a compose file says that has none
        metavar="FOLDER",
        help="keep a share of the texts of keys with log_share and log_until here, scrubbed; see docs/gateway.md "
        "(default: nowhere)",
    )
    kept = SampleConfig(folder=Path())
    samples.add_argument(
        "--sampled-log-mib", type=int, default=kept.max_bytes // MIB, metavar="N",
        help="MiB of all of it (default: %(default)s)",
    )  # fmt: skip
    samples.add_argument(
        "--sampled-log-days", type=int, default=kept.days, metavar="N", help="days (default: %(default)s)"
    )
    samples.add_argument(
        "--scrub-model",
        default="",
        metavar="NAME",
        help="take out what this pipeline of token classification finds, too (default: patterns alone)",
    )
    limits = parser.add_argument_group("its limits")
    limits.add_argument(
        "--max-body-mib", type=int, default=default.max_body_bytes // MIB, metavar="N",
        help="MiB of the body of a request (default: %(default)s)",
    )  # fmt: skip
    limits.add_argument(
        "--max-requests", type=int, default=default.max_requests, metavar="N",
        help="requests in flight in a process (default: %(default)s)",
    )  # fmt: skip
    limits.add_argument(
        "--max-texts",
        type=int,
        default=default.max_texts,
        metavar="N",
        help="texts of a request (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM. Returns 0.

    Raises:
        InvalidInput: an option has an impossible value.
    """
    serving, gateway = serving_of(arguments), gateway_of(arguments)
    Keys(
        gateway.keys, may_log=gateway.samples is not None
    )  # a malformed file is an error of the command here, and of no process that it starts
    connect(serving)  # as is a file of TLS that cannot be read, or a secret that may not travel there; nothing is sent
    if gateway.vocabulary:
        read_vocabulary(gateway.vocabulary)
    if gateway.otlp:
        check_packages()
    serve(serving, gateway)
    return 0


def gateway_of(arguments: argparse.Namespace) -> GatewayConfig:
    """The settings of the application. Raises InvalidInput."""
    return GatewayConfig(
        models=tuple(name for names in arguments.model for name in names.split(",") if name),
        aliases=tuple(parse_alias(text) for text in arguments.alias),
        vocabulary=arguments.token_vocabulary,
        keys=arguments.keys,
        public_models=arguments.public_models,
        origins=tuple(arguments.origin),
        otlp=arguments.otlp,
        trace_request_ids=_request_ids(arguments, os.environ),
        samples=_samples_of(arguments),
        max_body_bytes=arguments.max_body_mib * MIB,
        max_requests=arguments.max_requests,
        max_texts=arguments.max_texts,
    )


def _request_ids(arguments: argparse.Namespace, environment: Mapping[str, str]) -> bool:
    if arguments.trace_request_ids is not None:
        return bool(arguments.trace_request_ids)
    ids = environment.get(IDS_VARIABLE) or "0"
    if ids not in ("0", "1"):
        raise InvalidInput(f"{IDS_VARIABLE} is {ids!r}, expected 0 or 1")
    return ids == "1"


def _samples_of(arguments: argparse.Namespace) -> SampleConfig | None:
    if arguments.sampled_log is None:
        if arguments.scrub_model:
            raise InvalidInput("--scrub-model is of --sampled-log, which is not given")
        return None
    if arguments.keys is None:
        raise InvalidInput("--sampled-log is of keys that ask for it, and --keys is not given")
    return SampleConfig(
        folder=arguments.sampled_log,
        max_bytes=arguments.sampled_log_mib * MIB,
        days=arguments.sampled_log_days,
        scrub_model=arguments.scrub_model,
    )


def serving_of(arguments: argparse.Namespace) -> ServingConfig:
    """The settings of the process. Raises InvalidInput."""
    config = ServingConfig(
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        url=",".join(arguments.url) or ServingConfig.url,
        timeout_s=arguments.timeout_s,
        access=access_of(arguments),
    )
    if not (config.is_loopback or arguments.keys or arguments.allow_anonymous):
        raise InvalidInput(
            f"--host {config.host} is reachable from other hosts, and whoever reaches it could ask the pipelines: "
            "give --keys, use 127.0.0.1, or say --allow-anonymous"
        )
    return config
