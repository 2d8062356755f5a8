"""Servers that are watched by a Prometheus, one who asks them all the time, and an operator with a shell."""

import asyncio
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

from own_ports import own_ports
from supervised import Supervised

from encserve import AsyncClient, Client, EncserveError, Retry

from .runbooks import FIRST, commands, filled, sections

ONCE = Retry(attempts=1)
OVER_S = 400
"""Within which an alert ends, and all is well again."""
PORTS = ("http", "grpc", "metrics", "health")


class Site:
    """The place of a game day.

    Args:
        models: the repository; each server serves it.
    """

    def __init__(self, models):
        self.models = models
        self.ports = [dict(zip(PORTS, own_ports(len(PORTS)), strict=True)) for _ in range(2)]
        """Those of the server, and of a second one that is not there at first."""
        self.servers = {}
        """0 for the server, 1 for the second -> its command, while it runs."""
        self.watching = None
        """The Prometheus, once it runs."""
        self.said = ""
        """What the last command printed, stderr too."""

    @property
    def url(self):
        return self.url_of(0)

    def url_of(self, number):
        return f"localhost:{self.ports[number]['grpc']}"

    @property
    def metrics_addresses(self):
        """Of both servers."""
        return [f"127.0.0.1:{ports['metrics']}" for ports in self.ports]

    def start(self, number=0, *options):
        """Start one of the servers, with further options of `encserve serve`."""
        self.servers[number] = Supervised(self.models, ports=self.ports[number], options=options)

    def stop(self, number=0):
        """End it as an operator does."""
        if number in self.servers:
            self.servers.pop(number).stop()

    @property
    def log(self):
        """What the server has printed."""
        return "".join(self.servers[0].lines)

    def run(self, command, *codes, **words):
        """Run a command of a runbook in a shell of its own, and want one of these exit codes of it."""
        program, verb, *rest = filled(command, **words)
        assert program == "encserve", command
        where = [f"--url={self.url}"]
        if verb in ("rollback", "promote", "canary", "verify", "cascade"):
            where.append(f"--repository={self.models}")
        ran = subprocess.run(
            [sys.executable, "-m", program, verb, *rest, *where],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        self.said = ran.stdout + ran.stderr
        print(f"$ {command}\n{self.said}")
        assert ran.returncode in codes, f"{command}: exit code {ran.returncode}, not one of {codes}\n{self.said}"

    def ask_first(self, health):
        """The questions that come first, whatever the alert is; `health` are the exit codes that may come."""
        wanted = [each for each in commands(sections()[FIRST]) if each.startswith("encserve ")]
        assert [each.split()[1] for each in wanted] == ["health", "models"]
        self.run(wanted[0], *health)
        self.run(wanted[1], *{0 if code in (0, 3) else 1 for code in health})

    def answers(self, model="minilm"):
        """Whether a pipeline answers."""
        with Client(self.url, timeout_s=20, retry=ONCE) as client:
            try:
                ask(client, model)
            except EncserveError:
                return False
            return True

    def recover(self):
        """Have version 1 of `minilm` answer, whatever a rehearsal before has left behind."""
        self.stop(1)
        if 0 not in self.servers or self.servers[0].launcher.poll() is not None:
            self.servers.pop(0, None)
            self.start()
        self.wait_for_answers_of("minilm")
        with Client(self.url, timeout_s=20) as client:
            version = client.pipeline("minilm").version
        if version != "1":
            self.run("encserve promote NAME VERSION", 0, NAME="minilm", VERSION="1")

    def wait_for_answers_of(self, model):
        """Until a pipeline answers: one whose server starts again, or that has much to do, takes its time."""
        deadline_s = time.monotonic() + OVER_S
        while not self.answers(model):
            assert time.monotonic() < deadline_s, self.log[-4_000:]
            time.sleep(0.5)

    def wait_until_well(self, *models):
        """Until all pipelines answer and no alert fires."""
        deadline_s = time.monotonic() + OVER_S
        of_the_second = {"ServerGone"}  # which is stopped between rehearsals
        while not all(self.answers(model) for model in models) or self.watching.alerts() - of_the_second:
            assert time.monotonic() < deadline_s, (self.watching.alerts(), self.log[-4_000:])
            time.sleep(0.5)

    @contextmanager
    def asked(self, question, *, callers=1, pause_s=0.0, numbers=(0,)):
        """Who asks as long as the block lasts: `question(client, **how)` is awaited again and again by each caller.
        What is refused or fails is asked again a little later."""
        asking = Asking(",".join(map(self.url_of, numbers)), question, callers, pause_s)
        asking.start()
        try:
            yield asking
        finally:
            asking.end()


def ask(client, model):
    """A question to a pipeline of the game day."""
    text = f"all is well at {time.time_ns()}"
    if model == "minilm":
        client.embed([text], model=model)
    elif model == "t5":
        client.generate([text], model=model, max_new_tokens=1)
    else:
        client.classify([text], model=model)


class Asking(threading.Thread):
    """Callers in an event loop of their own, who may be told another `question` or `priority` on the way."""

    def __init__(self, url, question, callers, pause_s):
        super().__init__(daemon=True)
        self._urls, self._callers, self._pause_s = [url], callers, pause_s
        self._done = threading.Event()
        self.question = question
        self.priority = None
        self.answers = 0
        self.failures = []

    def run(self):
        asyncio.run(self._ask())

    def ask_also(self, url):
        """Let the callers know another replica, as a client does that is started anew."""
        self._urls.append(url)

    async def _ask(self):
        clients = []
        tasks = [asyncio.create_task(self._go_on(clients)) for _ in range(self._callers)]
        while not self._done.is_set():
            while len(clients) < len(self._urls):
                url = ",".join(self._urls[: len(clients) + 1])
                how = {"timeout_s": 900, "retry": ONCE, "concurrency": self._callers + 1, "coalesce": False}
                clients.append(AsyncClient(url, **how))
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in clients:
            await client.close()

    async def _go_on(self, clients):
        while not clients:
            await asyncio.sleep(0.05)
        while True:
            try:
                await self.question(clients[-1], priority=self.priority)
                self.answers += 1
                await asyncio.sleep(self._pause_s)
            except EncserveError as error:
                self.failures.append(error)
                await asyncio.sleep(max(self._pause_s, 0.5))

    def wait_for_answers(self):
        """Until one has come."""
        deadline_s = time.monotonic() + OVER_S
        while not self.answers:
            assert time.monotonic() < deadline_s, self.failures[-1:]
            time.sleep(0.1)

    def end(self):
        self._done.set()
        self.join(60)
        assert not self.is_alive()
