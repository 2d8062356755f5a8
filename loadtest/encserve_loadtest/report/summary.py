"""The verdict in words, for the terminal and for the top of the report."""

import math

from encserve_loadtest.config import SEARCH_SHARE
from encserve_loadtest.estimate.capacity import Capacity, Confidence
from encserve_loadtest.findings import Findings
from encserve_loadtest.fleet.repeats import MOST_NEAR, Repeats
from encserve_loadtest.fleet.sizing import ZONES, Sizing
from encserve_loadtest.fleet.waiting import ADDED_AT
from encserve_loadtest.measurement.by_rate import by_rate, nearest_window
from encserve_loadtest.quantities import milliseconds, percent, rounded
from encserve_loadtest.report.cascade import cascade_lines, other_texts
from encserve_pages.page import Line

PREDICTION_LIMIT = 0.3
"""A plan says first that its curve is not to be trusted where it missed a percentile by more than this share."""

SETTING_WORDS = {
    "tokenize_instances": "instances of tokenize",
    "encode_instances": "instances of encode",
    "max_batch_size": "max_batch_size of every step",
    "queue_delay_us": "queue delay of encode, µs",
    "token_budget": "token budget of encode",
}
_SETTING_PLACES = {
    "tokenize_instances": "instance_group in {tokenize}/config.pbtxt",
    "encode_instances": "instance_group in {encode}/config.pbtxt",
    "max_batch_size": "max_batch_size in each config.pbtxt of {model}",
    "queue_delay_us": "dynamic_batching.max_queue_delay_microseconds in {encode}/config.pbtxt",
    "token_budget": "export again with --token-budget {value}",
}
"""Where each setting is changed."""


def warning(findings: Findings) -> str:
    """Why the figures are better than the encoder is; empty where they are not."""
    return remembered(findings.repeated_share)


def remembered(share: float) -> str:
    """What a share of texts that were not computed means for the figures; empty for none."""
    if not share:
        return ""
    return (
        f"flattered: {percent(share)} of the texts were not computed, the server remembered them. With "
        "ENCSERVE_RECENT_ROWS_MIB=0 in the environment of `encserve serve` every text is computed"
    )


def summarize(findings: Findings) -> list[Line]:
    """The findings that there are, the most important first."""
    lines: list[Line] = []
    if findings.capacity is not None:
        lines.append(_capacity_line(findings, findings.capacity))
    if findings.sizing is not None:
        lines += _fleet_lines(findings.sizing)
    if findings.cost is not None:
        cost = findings.cost
        lines.append(
            Line(
                topic="a million texts cost",
                figure=between(cost.per_million_texts_at_best, cost.per_million_texts),
                detail=f"a million tokens {between(cost.per_million_tokens_at_best, cost.per_million_tokens)}, with "
                f"the spare, at {rounded(cost.replica_cost_per_hour)} per replica and hour; the fleet above costs "
                "the more",
            )
        )
    lines += cascade_lines(findings)
    if findings.repeats is not None:
        lines += _repeat_lines(findings.repeats)
    if findings.added_at_s is not None:
        lines.append(
            Line(
                topic="add a replica at",
                figure=f"{milliseconds(findings.added_at_s)} of work waiting",
                detail=f"the mean wait at {percent(ADDED_AT)} of the low end; the target of an autoscaler, per replica",
            )
        )
    lines += _made_lines(findings)
    if findings.bottleneck is not None:
        lines.append(Line(topic="limited by", figure=findings.bottleneck.limit, detail=findings.bottleneck.reason))
    if findings.curve is not None:
        knee = findings.curve.knee_per_s()
        p99 = milliseconds(findings.curve.p99_s(knee))
        lines.append(
            Line(topic="knee", figure=f"{rounded(knee)} requests/s", detail=f"p99 {p99}: the most rate per latency")
        )
    lines += [
        Line(
            topic="interpolation tested" if each.inside else "prediction tested",
            figure=f"{percent(abs(each.error))} too {'high' if each.error > 0 else 'low'}",
            detail=f"at {rounded(each.rate_per_s)} requests/s: p99 {milliseconds(each.predicted_s)} by the curve, "
            f"{milliseconds(each.measured_s)} measured",
        )
        for each in findings.predictions
    ]
    return [*lines, *_simulation_lines(findings), *_tuning_lines(findings)]


def _fleet_lines(sizing: Sizing) -> list[Line]:
    free = f"then {percent(sizing.headroom)} is free, {percent(sizing.headroom_degraded)} while one is down"
    lost = f"{percent(sizing.zone_loss)} of them"
    enough = "the rest holds the rate" if sizing.holds_without_a_zone else "the rest is too few"
    return [
        Line(
            topic=f"for {rounded(sizing.rate_per_s)} requests/s",
            figure=f"{sizing.replicas:,} replicas",
            detail=f"{sizing.needed:,} needed by the low end and 1 spare; {free}",
        ),
        Line(
            topic="a zone's loss takes",
            figure=lost,
            detail=f"of {ZONES} zones: {enough}; {sizing.replicas_for_a_zone:,} replicas hold it without a zone",
        ),
    ]


def _repeat_lines(repeats: Repeats) -> list[Line]:
    gained = repeats.gained
    near = f"; {percent(MOST_NEAR)} of them came within {repeats.within_texts:,} texts" if repeats.within_texts else ""
    return [
        Line(
            topic="texts that repeat",
            figure=percent(repeats.together.texts),
            detail=f"{repeats.distinct:,} of {repeats.texts:,} texts of {repeats.source} are distinct{near}; a longer "
            "trace has more repeats",
        ),
        Line(
            topic="memory spares",
            figure=percent(repeats.alone.bytes),
            detail=f"of the bytes of the texts at most, where each of {repeats.replicas:,} replicas remembers its own "
            "(ENCSERVE_RECENT_ROWS_MIB) and requests go to any",
        ),
        Line(
            topic="a shared cache spares",
            figure=f"{percent(gained.bytes)} more",
            detail=f"{percent(repeats.together.bytes)} of the bytes in all, before what its look-ups take; "
            f"{percent(gained.texts)} of the texts",
        ),
    ]


def _simulation_lines(findings: Findings) -> list[Line]:
    cost = findings.config.replica_cost_per_hour
    return [
        Line(
            topic="simulated",
            figure=f"{rounded(day.replica_hours)} replica-hours"
            + ("" if cost is None else f" for {rounded(day.replica_hours * cost)}"),
            detail=f"over the day by {day.signal}: at most {day.ready.max():.0f} replicas, "
            f"{percent(day.refused_share)} refused, {percent(day.beyond_share)} beyond what is held; a simulation",
        )
        for day in findings.simulated
    ]


def between(low: float, high: float) -> str:
    """An interval, or its one value."""
    return rounded(low) if rounded(low) == rounded(high) else f"{rounded(low)} to {rounded(high)}"


def _capacity_line(findings: Findings, capacity: Capacity) -> Line:
    config = findings.config
    texts = "" if config.texts_per_request == 1 else f" of {config.texts_per_request} texts"
    asked = f"p99 at most {milliseconds(config.target_p99_s)}; "
    if config.first_p99_s is not None:
        asked = f"99 % of the first pieces within {milliseconds(config.first_p99_s)} and of the answers "
        asked += f"within {milliseconds(config.target_p99_s)}; "
    asked += f"requests{texts} of {rounded(findings.tokens_per_request)} tokens"
    figure = f"{rounded(capacity.rate_per_s)} requests/s"
    if capacity.confidence is Confidence.AT_LEAST:
        return Line(topic="one replica holds at least", figure=figure, detail=asked)
    ends = f"{capacity.confidence.value} {rounded(capacity.low_per_s)} to {rounded(capacity.high_per_s)}"
    return Line(topic="one replica holds", figure=figure, detail=f"{ends}; {asked}")


def _made_lines(findings: Findings) -> list[Line]:
    """How texts came piece by piece, at the rate nearest to the capacity."""
    if findings.config.first_p99_s is None or findings.capacity is None or not by_rate(findings.windows):
        return []
    window = nearest_window(findings.windows, findings.capacity.rate_per_s)
    whole = f"the whole answer p50 {milliseconds(window.whole_s(50))}, p99 {milliseconds(window.whole_s(99))}"
    return [
        Line(
            topic="first piece",
            figure=f"p99 {milliseconds(window.first_s(99))}",
            detail=f"p50 {milliseconds(window.first_s(50))}; {whole}; at {rounded(window.offered_per_s)} requests/s; "
            "latencies elsewhere are of the one of both that is later by its target, in the time of whole answers",
        )
    ]


def cautions(findings: Findings) -> list[str]:
    """What a reader must know before the figures, the gravest first."""
    capacity = findings.capacity
    said = [each for each in (warning(findings), other_texts(findings)) if each]
    worst = max(findings.predictions, key=lambda each: abs(each.error), default=None)
    if worst is not None and abs(worst.error) > PREDICTION_LIMIT:
        said.append(
            f"the curve is not to be trusted: at {rounded(worst.rate_per_s)} requests/s it was "
            f"{percent(abs(worst.error))} too {'high' if worst.error > 0 else 'low'}, and the bound is "
            f"{percent(PREDICTION_LIMIT)}"
        )
    if capacity is not None and capacity.reasons:
        known = "only a range is known" if capacity.confidence is Confidence.RANGE else "note"
        needed = (
            "" if capacity.needed_s is None else f"; an interval takes --time-limit {needed_limit(capacity)} at least"
        )
        said.append(f"{known}: {'; '.join(capacity.reasons)}{needed}")
    return said


def needed_limit(capacity: Capacity) -> str:
    """The time limit with which the search would have the time that it needs, as the option takes it."""
    assert capacity.needed_s is not None
    return f"{math.ceil(capacity.needed_s / SEARCH_SHARE / 60)}min"


def _tuning_lines(findings: Findings) -> list[Line]:
    tuning = findings.tuning
    if tuning is None:
        return []
    if not tuning.changes:
        if not tuning.trials:
            return [Line(topic="settings", figure="not tried", detail="there was no time within --time-limit")]
        tried = f"of {len(tuning.trials)} other settings that were tried none is better than noise"
        tried += f"; for {len(tuning.untried)} there was no time" if tuning.untried else ""
        return [Line(topic="settings", figure="no setting is better than noise", detail=tried)]
    detail = "better in paired runs"
    if tuning.capacity is not None and findings.capacity is not None:
        then, now = rounded(tuning.capacity.rate_per_s), rounded(findings.capacity.rate_per_s)
        detail += f"; one replica holds {then} requests/s with all changes, {now} without"
    model = findings.config.model
    models = {name: f"{model}_{name}" for name in ("tokenize", "encode")} | {
        step.name: step.model for step in findings.steps
    }
    return [
        Line(
            topic="change",
            figure=f"{SETTING_WORDS[name]}: {old} to {new}",
            detail=f"{detail}; {_SETTING_PLACES[name].format(model=model, value=new, **models)}",
        )
        for name, (old, new) in tuning.changes.items()
    ]


def render_text(findings: Findings) -> str:
    """The verdict for a terminal."""
    lines = summarize(findings)
    topic_width = max((len(line.topic) for line in lines), default=0)
    figure_width = max((len(line.figure) for line in lines), default=0)
    rows = [f"{line.topic:<{topic_width}}  {line.figure:<{figure_width}}  {line.detail}".rstrip() for line in lines]
    ends = [f"incomplete: {findings.problem}"] if findings.problem else []
    return "\n".join([*cautions(findings), *rows, *ends])
