"""`encserve promote --watch`: what its options mean, and the page that it leaves."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

from encserve import EncserveError, InvalidInput
from encserve._transport.addresses import host_of, read_addresses
from encserve_lifecycle.watch.page import Outcome, watch_page
from encserve_lifecycle.watch.series import read_series
from encserve_lifecycle.watch.settled import SettledSeries
from encserve_lifecycle.watch.signals import VECTORS, Served
from encserve_lifecycle.watch.watch import Watch
from encserve_repository.activation import active_candidate
from encserve_repository.errors import RepositoryError
from encserve_repository.layout import candidate_model, step_models
from encserve_repository.serving import is_served
from encserve_repository.versions import active_version, manifest_of
from encserve_server.administration.administered import administered, tell
from encserve_server.administration.candidacy import Candidacy
from encserve_server.administration.promotion import Promotion
from encserve_server.administration.watched_promotion import DIED, KEPT, UNKNOWN, UNSEEN, WatchedPromotion
from encserve_server.config import ServeConfig
from encserve_server.durations import seconds_of
from encserve_server.errors import PromotionFailed
from encserve_server.processes.interruption import interruption

SHARE = 0.1
REPORT = Path("watch.html")
FAILED = "failed"
EXIT_ROLLED_BACK, EXIT_UNKNOWN = 1, 3


class Versions(Promotion, Candidacy):
    """Makes versions candidates, promotes them and rolls them back."""


def run(arguments: argparse.Namespace) -> int:
    """Promote the version and watch it. Returns 0 where it was kept, 3 where it was, but too little was seen to know
    that it is no worse, and 1 where another one serves.

    Raises:
        InvalidInput: an option is wrong.
        PromotionFailed: it was not promoted, or could not be rolled back; the message says what serves.
    """
    duration_s = seconds_of(arguments.watch, "--watch")
    share = SHARE if arguments.share is None else arguments.share
    if not share:
        raise InvalidInput("--share is 0; a version that nobody asks cannot be watched")
    report = arguments.report or REPORT
    if report.is_dir() or not report.parent.is_dir():
        raise InvalidInput(f"the report {report} cannot be written: it is a folder, or its folder is not there")
    interruption.follow_signals()  # a terminal that goes away ends a canary as Ctrl-C does
    with administered(Versions, arguments) as versions:
        promotion = WatchedPromotion(
            watch=_watch_of(arguments),
            versions=versions,
            stated=partial(_stated, arguments.repository, arguments.name),
            is_held=is_served(arguments.repository),
            report=tell,
            sleep=_sleep,
        )
        try:
            outcome = promotion.run(duration_s=duration_s, share=share)
        except EncserveError as error:
            _write(report, promotion.watch, Outcome(verdict=FAILED, because=str(error)))
            raise
    print(f"version {arguments.version} of {arguments.name}: {outcome.verdict}; {outcome.because}")
    _write(report, promotion.watch, outcome)
    return {KEPT: 0, UNKNOWN: EXIT_UNKNOWN, UNSEEN: EXIT_UNKNOWN, DIED: EXIT_UNKNOWN}.get(
        outcome.verdict, EXIT_ROLLED_BACK
    )


def _sleep(seconds: float) -> None:
    time.sleep(seconds)
    interruption.check()


def _stated(repository: Path, name: str) -> tuple[int | None, int | None]:
    """Return the active version and the candidate. Raises PromotionFailed where the repository is damaged, OSError."""
    try:
        return active_version(repository, name), active_candidate(repository, name)
    except RepositoryError as error:
        raise PromotionFailed(f"the watch of {name} ends, and changes nothing: {error}") from error


def _write(report: Path, watch: Watch, outcome: Outcome) -> None:
    """Write the page where there is anything to see. What cannot be written changes nothing of the outcome."""
    if not watch.moments:
        return
    try:
        report.write_text(watch_page(watch, outcome), encoding="utf-8")
    except OSError as error:
        tell(f"the report {report} cannot be written: {error.strerror}")
        return
    print(f"report: {report}")


def metrics_url_of(arguments: argparse.Namespace) -> str:
    """Return where the counts of the server stand. Raises InvalidInput where that is not one server."""
    if arguments.metrics_url:
        return str(arguments.metrics_url)
    addresses = read_addresses(arguments.url)
    if len(addresses) > 1:
        raise InvalidInput(f"--url is {arguments.url!r}; a watch is of one server")
    return f"http://{host_of(addresses[0])}:{ServeConfig.metrics_port}/metrics"


def _watch_of(arguments: argparse.Namespace) -> Watch:
    """Return a watch that has seen the counts of the server once.

    Raises:
        PromotionFailed: there are no such versions, or no counts.
    """
    repository, name = arguments.repository, arguments.name
    try:
        active = active_version(repository, name)
        if active is None:
            raise PromotionFailed(f"{repository} has no pipeline {name!r} that is served")
        before, candidate = _served(repository, name, active), _served(repository, name, arguments.version)
        apart = excused(repository, name, active, arguments.version)
    except RepositoryError as error:
        raise PromotionFailed(str(error)) from error
    if not (repository / f"{name}_head").is_dir():
        raise PromotionFailed(
            f"{name} has no model {name}_head, whose answers a watch compares; those that generate texts have none; "
            "promote it without --watch"
        )
    models = {
        *(name, candidate_model(name), f"{name}_tokenize", f"{name}_head"),
        *(before.encode, candidate.encode),
    }
    url = metrics_url_of(arguments)
    read = SettledSeries(partial(read_series, url, models))
    try:
        if not any(("model", f"{name}_head") in labels for _, labels in read()):
            raise PromotionFailed(
                f"the metrics at {url} have no counts of {name}: --metrics-url says where those of its server are"
            )
        return Watch(before, candidate, read=read, clock=time.monotonic, excused=apart)
    except OSError as error:
        raise PromotionFailed(
            f"the server's metrics cannot be read at {url}, so that no version can be watched: {error}; --metrics-url "
            "says where they are"
        ) from error


def _served(repository: Path, name: str, version: int) -> Served:
    manifest = manifest_of(repository, name, version)
    return Served(
        pipeline=name,
        version=version,
        candidate=candidate_model(name),
        encode=step_models(name, manifest.body or name, manifest.engine)["encode"],
    )


def excused(repository: Path, name: str, before: int, version: int) -> dict[str, str]:
    """Return which signals say nothing of two versions, and why: vectors of other weights point elsewhere."""
    old, new = (manifest_of(repository, name, each).checkpoint for each in (before, version))
    if any(old.get(key) != new.get(key) for key in ("source", "revision", "weights")):
        return {VECTORS.name: "the versions are of other checkpoints, whose vectors point elsewhere"}
    return {}
