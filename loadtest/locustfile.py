"""Locust users for the tasks that `encserve plan` loads, over gRPC.

    locust -f loadtest/locustfile.py --host localhost:8001 --model minilm
    locust -f loadtest/locustfile.py --host localhost:8001 --model minilm --headless -u 16 -t 30s --max-p99 200ms
    locust -f loadtest/locustfile.py --host localhost:8001 --model my-classifier --task classify
    locust -f loadtest/locustfile.py --host localhost:8001 --model t5 --task generate --output-tokens 40
    locust -f loadtest/locustfile.py --host gateway.example.org:8443 --server-ca authority.pem

The key of a gateway and the secret of the server's administration come from the environment of each process,
`ENCSERVE_API_KEY` and `ENCSERVE_ADMIN_SECRET`. What is an option, Locust sends to its workers and shows in its page.

Locust's users wait for each answer before they ask again: a closed loop, in which a server that stalls is simply asked
less. It shows how the server behaves under so many users. How much it holds at a rate is what `encserve plan` measures.
"""

# mypy: disable-error-code="untyped-decorator, no-untyped-call"
# (Locust's event hooks and LoadTestShape have no annotations.)

import logging
import random
import time
from argparse import ArgumentParser, Namespace
from typing import Any

import gevent
import grpc.experimental.gevent
from locust import LoadTestShape, User, constant, events, task
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner
from locust.stats import RequestStats, StatsEntry

from encserve import Client, EncserveError
from encserve._commands.access import read_access
from encserve._transport.addresses import DEFAULT_URL
from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.measurement.bench import ALL_AT_ONCE, SEND_ONCE
from encserve_loadtest.quantities import parse_duration_s
from encserve_loadtest.traffic.corpus import BUILT_IN, DEFAULT, Mix
from encserve_loadtest.traffic.shapes import SHAPES
from encserve_loadtest.traffic.tasks import TASKS, Task
from encserve_loadtest.traffic.texts import length_class
from encserve_loadtest.traffic.workload import Workload, prepare_workload, tokens_of, tokens_of_stream

grpc.experimental.gevent.init_gevent()  # before the first channel, or a request would block all users

EXIT_MISSED = 1
EXIT_NO_SERVER = 2
STREAMED = TASKS["text2text-generation"].name
"""The task whose answers come piece by piece."""
FIRST_PIECE = f"{STREAMED}, first piece"
"""Under which Locust counts how long the first pieces took; the answer is another line."""

log = logging.getLogger("encserve.locust")


class Session:
    """What the users of one process share: the channel, and what to send."""

    client: Client
    workload: Workload


@events.init_command_line_parser.add_listener
def add_arguments(parser: ArgumentParser) -> None:
    """Declare our options; Locust shows them in its web page, too, and sends them to its workers."""
    ours = parser.add_argument_group("encserve")
    ours.add_argument("--model", default="minilm", help="pipeline to ask (default: %(default)s)")
    ours.add_argument(
        "--task",
        default="embed",
        choices=[each.name for each in TASKS.values()],
        help="what the pipeline is for, which chooses the users (default: %(default)s)",
    )
    ours.add_argument("--texts-per-request", type=int, default=1, help="texts in each request (default: %(default)s)")
    ours.add_argument(
        "--corpus", default=DEFAULT, help=f"{', '.join(BUILT_IN)}, FILE.jsonl or FILE.csv (default: %(default)s)"
    )
    ours.add_argument(
        "--output-tokens",
        default="",
        help="of new texts: a number, a name, or FILE (default: as they become)",
    )
    ours.add_argument("--load-shape", default="", choices=["", *SHAPES], help="how -u users come and go over -t")
    tls = parser.add_argument_group("encserve, encrypted", "Locust's own --tls-cert and --tls-key are of its web page.")
    tls.add_argument("--server-tls", action="store_true", help="encrypt, and trust the public authorities")
    tls.add_argument("--server-ca", default="", metavar="FILE", help="encrypt, and trust these authorities (PEM)")
    tls.add_argument("--client-cert", default="", metavar="FILE", help="our certificate, where the server wants one")
    tls.add_argument("--client-key", default="", metavar="FILE", help="the private key of --client-cert")
    ours.add_argument("--max-fail-ratio", type=float, default=0.0, help="exit code 1 above it (default: %(default)s)")
    ours.add_argument("--max-p99", default="", help="exit code 1 above it, such as 200ms")


@events.init.add_listener
def choose_shape(environment: Environment, **_: Any) -> None:
    """Let the users follow a shape, where one was asked for."""
    options = environment.parsed_options
    if options is not None and options.load_shape and environment.runner is not None:
        environment.shape_class = UserShape(
            options.load_shape, users=options.num_users or 1, duration_s=options.run_time
        )
        environment.shape_class.runner = environment.runner


class UserShape(LoadTestShape):
    """One of our shapes, in users."""

    use_common_options = True
    abstract = True

    def __init__(self, name: str, *, users: int, duration_s: float | None) -> None:
        super().__init__()
        self._shape = SHAPES[name]
        self._users = users
        self._duration_s = duration_s or 60.0

    def tick(self) -> tuple[int, float] | None:
        """How many users there shall be now, and how many may come per second; None in the end."""
        share = self.get_run_time() / self._duration_s
        return None if share > 1 else (max(1, round(self._users * self._shape.share_at(share))), float(self._users))


@events.init.add_listener
def choose_users(environment: Environment, **_: Any) -> None:
    """Keep the users of the task that was asked for. Workers keep all, as their master tells them which to run."""
    options = environment.parsed_options
    if options is not None and not isinstance(environment.runner, WorkerRunner):
        users = [each for each in environment.user_classes if issubclass(each, PipelineUser)]
        environment.user_classes = [each for each in users if each.asks.name == options.task]


@events.test_start.add_listener
def connect(environment: Environment, **_: Any) -> None:
    """Open the channel of this process, and make its requests. A master sends none."""
    runner, options = environment.runner, environment.parsed_options
    if runner is None or options is None or isinstance(runner, MasterRunner):
        return
    try:
        Session.client = _client(environment.host or DEFAULT_URL, options)
        Session.workload = prepare_workload(
            Session.client,
            model=options.model,
            mix=Mix(
                corpus=options.corpus,
                texts_per_request=options.texts_per_request,
                made=options.output_tokens or None,
                streams=options.task == STREAMED and options.texts_per_request == 1,
            ),
        )
        if Session.workload.task.name != options.task:
            raise InvalidPlan(f"{options.model!r} is for {Session.workload.task.name}, --task is {options.task}")
        environment.process_exit_code = None  # from the web page it may have been tried before
    except EncserveError as error:
        log.error("%s", error)
        environment.process_exit_code = EXIT_NO_SERVER
        gevent.spawn(runner.quit)  # when locust has started: what it starts later would go on


def _client(url: str, options: Namespace) -> Client:
    access = read_access(
        encrypted=options.server_tls,
        ca_file=options.server_ca or None,
        cert_file=options.client_cert or None,
        key_file=options.client_key or None,
    )
    return Client(
        url,
        retry=SEND_ONCE,
        concurrency=ALL_AT_ONCE,
        tls=access.tls,
        api_key=access.api_key,
        admin_secret=access.admin_secret,
    )


@events.test_stop.add_listener
def disconnect(**_: Any) -> None:
    """Close the channel."""
    if hasattr(Session, "client"):
        Session.client.close()


@events.quitting.add_listener
def judge(environment: Environment, **_: Any) -> None:
    """Set the exit code by the thresholds; workers leave it to their master."""
    options = environment.parsed_options
    if options is None or isinstance(environment.runner, WorkerRunner) or environment.process_exit_code:
        return
    total = whole_answers(environment.stats)
    p99_s = (total.get_response_time_percentile(0.99) or 0.0) / 1e3
    missed = [] if total.num_requests else ["no request was answered or refused; a longer -t may leave time for some"]
    if total.fail_ratio > options.max_fail_ratio:
        missed.append(
            f"{total.fail_ratio:.2%} of the requests failed, --max-fail-ratio is {options.max_fail_ratio:.2%}"
        )
    if options.max_p99 and p99_s > parse_duration_s(options.max_p99):
        missed.append(f"p99 is {p99_s * 1e3:.0f} ms, --max-p99 is {options.max_p99}")
    for line in missed:
        log.error("%s", line)
    environment.process_exit_code = EXIT_MISSED if missed else 0


def whole_answers(stats: RequestStats) -> StatsEntry:
    """What was counted of all requests, without the first pieces, which are no answers."""
    found = StatsEntry(stats, "whole answers", "gRPC")
    for entry in stats.entries.values():
        if entry.name != FIRST_PIECE:
            found.extend(entry)
    return found


class PipelineUser(User):
    """Asks one thing after another, without a pause."""

    abstract = True
    wait_time = constant(0)
    asks: Task

    @task
    def ask(self) -> None:
        """Send one request. Its name tells the task and how long its longest text is."""
        workload = Session.workload
        number = random.randrange(len(workload.requests))
        texts = workload.requests[number]
        name = f"{self.asks.name}, {length_class(max(map(len, map(str.split, texts))))}"
        began_s = time.perf_counter()
        tokens, failure = 0, None
        try:
            tokens = self.answered(texts, model=workload.pipeline.name, **workload.options(number))
        except EncserveError as error:
            failure = type(error)(error.args[0])  # without the id of the request, so that Locust counts equal failures
        self.tell(name, began_s, tokens, failure)

    def answered(self, texts: list[str], **options: Any) -> int:
        """Ask for the answer to some texts. Returns how many tokens it is about."""
        return tokens_of(self.asks.call(Session.client, texts, **options))

    def tell(self, name: str, began_s: float, tokens: int, failure: EncserveError | None) -> None:
        """Tell Locust of something that began so long ago, by `time.perf_counter`, and is there now."""
        self.environment.events.request.fire(
            request_type="gRPC",
            name=name,
            response_time=(time.perf_counter() - began_s) * 1e3,  # ms
            response_length=tokens,
            exception=failure,
            context={},
        )


class StreamingUser(PipelineUser):
    """Takes new texts piece by piece, where each request is of one text, and tells of the first piece by itself."""

    abstract = True

    def answered(self, texts: list[str], **options: Any) -> int:
        """As of any pipeline; the first piece has a line of its own in Locust's figures."""
        if not Session.workload.streams:
            return super().answered(texts, **options)
        began_s = time.perf_counter()
        with Session.client.generate_stream(texts[0], version="active", **options) as stream:
            for number, _ in enumerate(stream):
                if not number:
                    self.tell(FIRST_PIECE, began_s, 0, None)
        return tokens_of_stream(stream, model=options["model"])


def user_class(asks: Task) -> type[PipelineUser]:
    """The user of one task: "embed" becomes `EmbedUser`."""
    name = asks.name.title().replace("_", "") + "User"
    kind = StreamingUser if asks.makes_texts else PipelineUser
    return type(name, (kind,), {"asks": asks, "abstract": False, "__module__": __name__})


globals().update({each.__name__: each for each in map(user_class, TASKS.values())})
