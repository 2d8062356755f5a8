"""`encserve drift`: which baseline is meant, what was counted, and what that says."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from encserve import Client, EncserveError, InvalidInput
from encserve._commands.server_arguments import open_client
from encserve._transport.addresses import host_of, read_addresses
from encserve_lifecycle.drift.counted import SQUARES, SUMS, TEXTS, window_of
from encserve_lifecycle.drift.prometheus import read_window
from encserve_lifecycle.drift.two_samples import LEAST, Finding, State, Window, compare, false_alarms
from encserve_lifecycle.watch.series import Growth, Series, read_series
from encserve_lifecycle.watch.settled import SettledSeries
from encserve_repository.baseline import Baseline, read_baseline
from encserve_repository.errors import RepositoryError
from encserve_repository.layout import BASELINE_FILE, MANIFEST_FILE
from encserve_repository.manifest import sha256_of
from encserve_repository.versions import active_version, check_files, manifest_of
from encserve_server.config import ServeConfig
from encserve_server.durations import seconds_of

EXIT_UNKNOWN, EXIT_DRIFT = 3, 4
LOOK_S = 30.0
"""Seconds between looks at a server's counters, so that a restart takes no more of a window than that."""
FIRST_LOOKS = 5
LEAST_WINDOW_S = 60.0
"""Steps tell their sums every ten seconds."""


def run(arguments: argparse.Namespace) -> int:
    """Judge windows of time. Returns 0 where the texts are of the baseline's kind, 4 where those of a window are not,
    and 3 where no window had enough of them.

    Raises:
        InvalidInput: an option is wrong, or the baseline is of another version than the one that answers.
        EncserveError: there is no baseline, or nothing that counts.
    """
    window_s = seconds_of(arguments.window, "--window")
    if window_s < LEAST_WINDOW_S:
        raise InvalidInput(f"--window is {arguments.window!r}; {LEAST_WINDOW_S:.0f}s are the least")
    if arguments.windows < 1 or (arguments.prometheus and arguments.windows > 1):
        raise InvalidInput(f"--windows is {arguments.windows}; 1 or more is expected, and 1 with --prometheus")
    if arguments.prometheus and arguments.metrics_url:
        raise InvalidInput("--prometheus and --metrics-url contradict each other")
    baseline = baseline_of(arguments)
    states = set()
    with open_client(arguments) as client:
        for _ in range(arguments.windows):
            check_answers(client, arguments.name, baseline)
            finding = _judged(_window(arguments, baseline, window_s), baseline, window_s)
            check_answers(client, arguments.name, baseline)
            print(in_words(finding, baseline), flush=True)
            states.add(finding.state)
    return EXIT_DRIFT if State.DRIFT in states else 0 if State.SAME in states else EXIT_UNKNOWN


def baseline_of(arguments: argparse.Namespace) -> Baseline:
    """Return the baseline that the arguments name, of this pipeline. Raises InvalidInput, EncserveError."""
    try:
        baseline = read_baseline(arguments.baseline) if arguments.baseline else _exported(arguments)
    except RepositoryError as error:
        raise EncserveError(str(error)) from error
    except OSError as error:
        raise EncserveError(f"{error.filename} cannot be read: {error.strerror}") from error
    if baseline.pipeline != arguments.name:
        raise InvalidInput(f"the baseline is of {baseline.pipeline!r}, and not of {arguments.name!r}")
    return baseline


def _exported(arguments: argparse.Namespace) -> Baseline:
    """Return the baseline of the export, of the active version. Raises RepositoryError, OSError, EncserveError."""
    repository, name = arguments.repository, arguments.name
    version = active_version(repository, name)
    if version is None:
        raise EncserveError(f"{repository} has no pipeline {name!r} that is served")
    manifest = manifest_of(repository, name, version)
    own = f"{name}/{version}/{BASELINE_FILE}"
    if own not in manifest.files:
        raise EncserveError(
            f"version {version} of {name} has no baseline, which an export makes of vectors of 100 texts and more: "
            "`encserve baseline` makes one of yours"
        )
    check_files(repository, {own: manifest.files[own]})
    certificate = sha256_of(repository / name / str(version) / MANIFEST_FILE)
    return replace(read_baseline(repository / own), version=version, certificate=certificate)


def check_answers(client: Client, name: str, baseline: Baseline) -> None:
    """Refuse to judge by the baseline of a version that does not answer. Raises InvalidInput, EncserveError."""
    if client.pipeline(name).certificate != baseline.certificate:
        raise InvalidInput(
            f"the baseline is of version {baseline.version} of {name}, and another one answers: its vectors may lie "
            "elsewhere; `encserve baseline` makes one of it"
        )


def _window(arguments: argparse.Namespace, baseline: Baseline, window_s: float) -> Window:
    name, directions = arguments.name, len(baseline.mean)
    url = arguments.prometheus or _metrics_url(arguments)
    try:
        if arguments.prometheus:
            window = read_window(url, name, baseline.version, directions, window_s)
        else:
            read = SettledSeries(partial(_sums, url, name))
            window = watched(read, name, baseline, window_s)
    except OSError as error:
        raise EncserveError(f"the metrics cannot be read at {url}: {error}") from error
    if window is None:
        raise EncserveError(
            f"{url} has no sums of the vectors of version {baseline.version} of {name}: another server has it, or the "
            "version was exported before they were told"
        )
    return window


def _sums(url: str, name: str) -> Series:
    """Return the sums alone, which are told every ten seconds: a step that tells other counters meanwhile does no harm.
    Raises OSError."""
    page = read_series(url, {f"{name}_head"})
    return {series: value for series, value in page.items() if series[0] in (SUMS, TEXTS, SQUARES)}


def watched(
    read: Callable[[], Series],
    name: str,
    baseline: Baseline,
    window_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Window | None:
    """Return the sums of a window of time that begins now. A look in between that cannot be had is left out.

    Raises:
        OSError: there are no counters at the beginning or at the end.
    """
    end_s = clock() + window_s
    for _ in range(FIRST_LOOKS):  # one at which the step is telling its sums has none of them
        grown = Growth(read())
        if window_of(grown, name, baseline.version, len(baseline.mean)) is not None:
            break
    else:
        return None
    while (left_s := end_s - clock()) > 0:
        sleep(min(LOOK_S, left_s))
        try:
            grown.take(read())
        except OSError:
            if clock() >= end_s:
                raise
    return window_of(grown, name, baseline.version, len(baseline.mean))


def _metrics_url(arguments: argparse.Namespace) -> str:
    if arguments.metrics_url:
        return str(arguments.metrics_url)
    addresses = read_addresses(arguments.url)
    if len(addresses) > 1:
        raise InvalidInput(f"--url is {arguments.url!r}; --metrics-url says whose counts are read, or --prometheus")
    return f"http://{host_of(addresses[0])}:{ServeConfig.metrics_port}/metrics"


def _judged(window: Window, baseline: Baseline, window_s: float) -> Finding:
    alpha = false_alarms(window_s)
    return compare(window, baseline.mean, baseline.covariance, baseline.texts, alpha=alpha)


def in_words(finding: Finding, baseline: Baseline) -> str:
    """Return what a window says."""
    of = f"{finding.texts:,} texts, which count as {finding.alone:,.0f} by themselves"
    against = f"{baseline.texts:,} {baseline.source}"
    if finding.state is State.UNKNOWN:
        return f"{finding.state.value}: {of}; {LEAST} are the least"
    return (
        f"{finding.state.value}: the mean of {of}, is {finding.distance:.2f} standard deviations from that of "
        f"{against}; up to {finding.allowed:.2f} is within the margin and chance"
    )
