"""`encserve plan`: from a latency target to replicas and cost; and the check of targets in a file."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from encserve import EncserveError
from encserve._commands.server_arguments import access_of, add_endpoint_arguments

if TYPE_CHECKING:
    from encserve_loadtest.findings import Findings

SUMMARY = "find how much load a server holds, and how many replicas are needed"

EXIT_MISSED = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, with the defaults of `PlanConfig`."""
    from encserve_loadtest.config import METRICS_PORT, QUICK_TIME_LIMIT_S, PlanConfig
    from encserve_loadtest.traffic.arrivals import PROCESSES
    from encserve_loadtest.traffic.corpus import BUILT_IN
    from encserve_loadtest.traffic.shapes import SHAPES

    default = PlanConfig(model="", target_p99_s=1)
    what = parser.add_argument_group("what to plan for")
    what.add_argument("--model", metavar="NAME", help="the pipeline, as `encserve models` lists it")
    what.add_argument(
        "--p99", metavar="DURATION", help="the latency that 99 %% of the requests must keep, such as 100ms"
    )
    what.add_argument(
        "--first-token",
        metavar="DURATION",
        help="of a pipeline that generates: the time to the first piece that 99 %% must keep, too, in streams",
    )
    what.add_argument("--rate", type=float, metavar="N", help="requests per second of all users")
    what.add_argument(
        "--replica-cost-per-hour", type=float, metavar="COST", help="what one replica costs, in any currency"
    )
    what.add_argument(
        "--simulate",
        type=Path,
        metavar="DAY.csv",
        help="simulate a fleet over a day, lines of time,rate; HH:MM or seconds, and requests per second",
    )
    what.add_argument(
        "--start-time",
        default=f"{default.start_s:g}s",
        metavar="DURATION",
        help="for --simulate, from the wish for a replica to its first answer (default: %(default)s)",
    )
    what.add_argument(
        "--trace",
        type=Path,
        metavar="FILE.jsonl",
        help="texts in the order in which users sent them, to tell how many repeat and what memory of them would spare",
    )
    what.add_argument(
        "--check", type=Path, metavar="SLO.yaml", help="measure the targets of a file instead of planning"
    )
    traffic = parser.add_argument_group("the traffic")
    traffic.add_argument(
        "--corpus",
        default=default.corpus,
        metavar="NAME|FILE",
        help=f"{', '.join(BUILT_IN)}; FILE.jsonl of texts, of which only the lengths are used; FILE.csv of "
        "tokens,count (default: %(default)s)",
    )
    traffic.add_argument("--keep-texts", action="store_true", help="send the texts of FILE.jsonl themselves")
    traffic.add_argument(
        "--output-tokens",
        metavar="N|NAME|FILE",
        help="of a pipeline that generates, how long new texts are: tokens, a name as of --corpus, FILE.csv of "
        "tokens,count or FILE.jsonl of such texts (default: as they become)",
    )
    traffic.add_argument("--texts-per-request", type=int, default=default.texts_per_request, metavar="N")
    traffic.add_argument(
        "--arrivals",
        default=default.arrivals,
        metavar="NAME|FILE",
        help=f"{', '.join(PROCESSES)}, or a file of timestamps in seconds to replay (default: %(default)s)",
    )
    traffic.add_argument("--shape", choices=SHAPES, help="run this shape in the end, with the capacity as its peak")
    traffic.add_argument("--seed", type=int, default=default.seed, help="of arrivals and texts (default: %(default)s)")
    how = parser.add_argument_group("where, and how")
    add_endpoint_arguments(how)
    how.add_argument(
        "--metrics-url", metavar="URL", help=f"Triton's metrics (default: port {METRICS_PORT} of the same host)"
    )
    how.add_argument("--window", default=f"{default.window_s:g}s", metavar="DURATION", help="default: %(default)s")
    how.add_argument(
        "--quick", action="store_true", help=f"plan within {QUICK_TIME_LIMIT_S / 60:g} minutes, and print a range"
    )
    how.add_argument("--tune", action="store_true", help="try other settings, on servers started on this host")
    how.add_argument(
        "--time-limit",
        metavar="DURATION",
        help="how long to measure, without --shape; --tune may take as long again (default: "
        f"{default.time_limit_s / 60:g}min, with --quick {QUICK_TIME_LIMIT_S / 60:g}min)",
    )
    how.add_argument(
        "--repository",
        type=Path,
        default=default.repository,
        metavar="FOLDER",
        help="for --tune (default: %(default)s)",
    )
    how.add_argument(
        "--report",
        type=Path,
        default=Path("plan.html"),
        metavar="FILE.html",
        help="default: %(default)s, and its .json",
    )


def run(arguments: argparse.Namespace) -> int:
    """Plan or check. Returns 0, 1 for a target that is missed or impossible, or 130 after Ctrl-C."""
    return _check(arguments) if arguments.check else _plan(arguments)


def _check(arguments: argparse.Namespace) -> int:
    from encserve_loadtest.slo import check, read_slos

    slos = read_slos(arguments.check, url=arguments.url)
    held = asyncio.run(check(slos, access_of(arguments), lambda line: print(line, flush=True)))
    return 0 if held else EXIT_MISSED


def _plan(arguments: argparse.Namespace) -> int:
    """Plan, and write what was measured however it ends."""
    from encserve_loadtest.measurement.progress import Progress
    from encserve_loadtest.planner import keep_what_is_known, plan
    from encserve_loadtest.report.files import check_report, json_path, write_report
    from encserve_loadtest.report.summary import render_text

    check_report(arguments.report)
    findings, access = _findings(arguments), access_of(arguments)
    progress = Progress()
    interrupted = False
    try:
        asyncio.run(plan(findings, progress, access))
    except KeyboardInterrupt:
        interrupted = True
        findings.problem = "it was interrupted; this is what was measured before"
        keep_what_is_known(findings)
    except EncserveError as error:
        if not findings.windows:
            raise
        findings.problem = str(error)
    findings.elapsed_s = progress.elapsed_s
    if findings.windows:
        write_report(findings, arguments.report)
        print(render_text(findings))
        print(f"report: {arguments.report} and {json_path(arguments.report)}", file=sys.stderr)
    if interrupted:
        return EXIT_INTERRUPTED
    return EXIT_MISSED if findings.problem else 0


def _findings(arguments: argparse.Namespace) -> Findings:
    """The empty findings for the options.

    Raises:
        InvalidPlan: an option is missing or malformed.
    """
    from encserve_loadtest.config import DEFAULT_TIME_LIMIT_S, QUICK_TIME_LIMIT_S, PlanConfig
    from encserve_loadtest.errors import InvalidPlan
    from encserve_loadtest.findings import Findings
    from encserve_loadtest.fleet.day import read_day
    from encserve_loadtest.quantities import parse_duration_s
    from encserve_loadtest.traffic.trace import read_trace

    if not arguments.model or not arguments.p99:
        raise InvalidPlan("a plan needs --model and --p99, a check needs --check")
    limit_s = QUICK_TIME_LIMIT_S if arguments.quick else DEFAULT_TIME_LIMIT_S
    if arguments.time_limit:
        limit_s = parse_duration_s(arguments.time_limit)
    config = PlanConfig(
        model=arguments.model,
        target_p99_s=parse_duration_s(arguments.p99),
        first_p99_s=parse_duration_s(arguments.first_token) if arguments.first_token else None,
        made=arguments.output_tokens,
        rate_per_s=arguments.rate,
        url=arguments.url,
        metrics_url=arguments.metrics_url,
        corpus=arguments.corpus,
        keep_texts=arguments.keep_texts,
        texts_per_request=arguments.texts_per_request,
        arrivals=arguments.arrivals,
        shape=arguments.shape,
        window_s=parse_duration_s(arguments.window),
        time_limit_s=limit_s,
        quick=arguments.quick,
        simulate=arguments.simulate,
        start_s=parse_duration_s(arguments.start_time),
        trace=arguments.trace,
        replica_cost_per_hour=arguments.replica_cost_per_hour,
        tune=arguments.tune,
        repository=arguments.repository,
        seed=arguments.seed,
    )
    return Findings(
        config=config,
        day=read_day(arguments.simulate) if arguments.simulate else None,
        trace=read_trace(arguments.trace) if arguments.trace else None,
    )
