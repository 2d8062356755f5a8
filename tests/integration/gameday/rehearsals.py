"""What is rehearsed: how each alert is provoked on a real server, and how its runbook is followed."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from . import breaks

NEVER_PROVOKED: dict[str, str] = {}
"""Alert -> why no test here can provoke it. A new alert needs a rehearsal, or its reason here."""

NOT_RUN = {
    "encserve plan --model NAME --p99 1s --rate 200 --quick": "it measures for minutes on a replica without traffic; "
    "tests/integration/planning has that",
    "docker compose logs --since 15m triton | tail -50": "there is no Docker here: they read what the server printed",
}
"""Commands of the runbooks -> why no rehearsal runs them."""


@dataclass(frozen=True)
class Run:
    """A command that stands in a code block of the section."""

    command: str
    words: dict[str, str]
    """What stands in the place of its words in capitals."""
    code: int = 0
    """The exit code that it ends with."""


@dataclass(frozen=True)
class Do:
    """What a sentence of the section says, where no command does it."""

    sentence: str
    by: Callable[..., None]
    """Does it, given the site and what the break has yielded."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """One way in which alerts come and go."""

    section: str
    """The alert whose section is followed."""
    alerts: dict[str, str] = field(default_factory=dict)
    """Further ones that fire by it -> the sentence of their section that leads to what is done."""
    broken: Callable[..., AbstractContextManager[Any]]
    """Breaks the site as long as nothing is done about it."""
    steps: tuple[Run | Do, ...]
    health: tuple[int, ...] = (0, 3)
    """The exit codes of `encserve health` meanwhile."""
    pipeline: str = "minilm"
    """Which answers again afterwards."""


MINILM = {"NAME": "minilm"}
ROLLBACK = Run("encserve rollback NAME", MINILM)
IN_BULK = Do(
    "See whether work without haste runs in the lane `interactive`, and move it to `bulk`, behind everybody who waits.",
    breaks.move_to_bulk,
)

REHEARSALS = {
    "a version whose file is damaged does not start": Rehearsal(
        section="NoServer",
        broken=breaks.a_start_on_a_damaged_version,
        health=(1,),
        steps=(
            Do("the log's last lines say it", breaks.read_why_it_does_not_start),
            ROLLBACK,
            Do("that is what the next start serves; start it then", breaks.start_again),
        ),
    ),
    "one of two servers ends": Rehearsal(
        section="ServerGone",
        broken=breaks.the_second_server_ends,
        steps=(Do("Do as for [NoServer](#noserver) on that host.", breaks.start_the_second),),
    ),
    "a version dies of a text": Rehearsal(
        section="Restarting",
        broken=breaks.a_version_that_dies_of_a_text,
        health=(0, 1, 3),
        steps=(
            Do("The log says before each start what was stopped or hung", breaks.read_what_died),
            Do("refuse the text there", breaks.stop_asking),
            ROLLBACK,
            Do("The version before answers that text", breaks.ask_what_it_died_of),
        ),
    ),
    "a version gives NaN": Rehearsal(
        section="NonfiniteTexts",
        broken=breaks.a_version_that_gives_nan,
        steps=(Run("encserve verify NAME", MINILM, code=1), ROLLBACK),
    ),
    "a network fails": Rehearsal(
        section="InternalErrors",
        broken=breaks.a_version_whose_network_fails,
        steps=(
            Do("the log has the place in the code with the id of a request, never its text", breaks.read_the_fault),
            ROLLBACK,
        ),
    ),
    "a promoted version fails": Rehearsal(
        section="Failures",
        alerts={
            "AvailabilityBurnsFast": "follow that one",
            "AvailabilityBurns": "Compare the versions and the callers",
        },
        broken=breaks.a_version_whose_network_fails,
        steps=(ROLLBACK,),
    ),
    "a candidate fails": Rehearsal(
        section="Failures",
        broken=breaks.a_candidate_whose_network_fails,
        steps=(
            Do("If they began with a canary, and the alert names its version", breaks.see_the_candidate),
            Run("encserve canary NAME --end", MINILM),
        ),
    ),
    "the large pipeline of a cascade is promoted, and goes back": Rehearsal(
        section="CascadeUnfit",
        broken=breaks.another_large_pipeline,
        steps=(
            Do("The error that callers get says which, and what version it takes.", breaks.read_what_is_unfit),
            Run("encserve rollback SMALL-OR-LARGE", {"SMALL-OR-LARGE": "large"}),
        ),
        pipeline="topics",
    ),
    "the large pipeline of a cascade is promoted, and the cascade fitted again": Rehearsal(
        section="CascadeUnfit",
        broken=breaks.another_large_pipeline,
        steps=(
            Run(
                "encserve cascade NAME --small SMALL --large LARGE --texts FILE",
                {"NAME": "topics", "SMALL": "small", "LARGE": "large", "FILE": "{texts}"},
            ),
            Run("encserve promote NAME 2", {"NAME": "topics"}),
        ),
        pipeline="topics",
    ),
    "more is asked than has a place": Rehearsal(
        section="Refusing",
        alerts={"AvailabilityBurnsFast": "follow that one", "AvailabilityBurns": "that hour needs another replica"},
        broken=breaks.more_than_has_a_place,
        steps=(Do("Add one.", breaks.add_a_replica),),
    ),
    "more is asked at once than is answered in time": Rehearsal(
        section="WorkWaits",
        alerts={
            "SlowAnswers": "If work waits, it is [WorkWaits](#workwaits).",
            "LatencyBurnsFast": "Do as for [SlowAnswers](#slowanswers).",
            "LatencyBurns": "the number of replicas is wrong for this traffic",
        },
        broken=breaks.much_at_once,
        steps=(IN_BULK,),
    ),
    "a pipeline that generates is asked more at once than it answers in time": Rehearsal(
        section="TextsWait",
        alerts={
            "SlowFirstTokens": "If [TextsWait](#textswait) fires too, there is no room",
            "WorkWaits": "do as for [TextsWait](#textswait)",
        },
        broken=breaks.much_to_generate,
        steps=(Do("send work without haste in the lane `bulk`", breaks.move_to_bulk),),
        pipeline="t5",
    ),
    "a burst": Rehearsal(
        section="Queueing",
        broken=breaks.much_at_once,
        steps=(Do("Short bursts do that", breaks.stop_asking),),
    ),
    "texts are of another kind than before": Rehearsal(
        section="AnswersDrift",
        alerts={"TextsDrift": "ask who sends other texts"},
        broken=breaks.other_texts,
        steps=(
            Run("encserve verify NAME", MINILM),
            Do("If [TextsDrift](#textsdrift) fires beside it, the texts are others.", breaks.send_the_texts_of_before),
        ),
    ),
}
