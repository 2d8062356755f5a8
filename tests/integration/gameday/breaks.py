"""How the game day breaks things, and what an operator does about it that is no command."""

import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from encserve import Client, InferenceFailed

from .versions import BECAUSE_TEXT, DAMAGED, DEADLY, FAILING, MORTAL, NONFINITE, RARE, damage

PLACES = 2_000
"""Texts that may wait in a lane."""
LONG = [f"{number} " + "word " * 200 for number in range(5)]
"""Of a request that takes the network its time."""
PROMOTE = "encserve promote NAME VERSION"


def promote(site, name, version):
    """As an operator does, before anything is known to be wrong."""
    site.run(PROMOTE, 0, NAME=name, VERSION=str(version))


def embedding(*texts, callers=1):
    """A question about texts, of so many callers in turn."""
    turns = iter(range(10**9))

    async def ask(client, **how):
        await client.embed(list(texts), model="minilm", caller=f"tenant {next(turns) % callers}", **how)

    return ask


@contextmanager
def a_start_on_a_damaged_version(site):
    """The version that is active lost a byte of a file on the way, and the host starts anew."""
    promote(site, "minilm", DAMAGED)
    damage(site.models)
    site.stop()
    yield None


def read_why_it_does_not_start(site, load):
    command = [sys.executable, "-m", "encserve", "serve", f"--repository={site.models}"]
    ports = [f"--{name}-port={port}" for name, port in site.ports[0].items()]
    ended = subprocess.run([*command, *ports], capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode != 0
    assert f"minilm_tokenize/{DAMAGED}/tokenizer.json" in ended.stderr.splitlines()[-1]


def start_again(site, load):
    assert f"the next start on {site.models} serves version 1 of minilm" in site.said
    site.start()
    with Client(site.url, timeout_s=60) as client:
        assert client.embed(["a text"], model="minilm").version == "1"


@contextmanager
def the_second_server_ends(site):
    """A replica that answered is gone; who knows both addresses is answered."""
    start_the_second(site, None)
    time.sleep(5)  # in which it is seen
    with site.asked(embedding("a text"), pause_s=0.1, numbers=(0, 1)) as load:
        site.stop(1)
        yield load
    assert len(load.failures) < load.answers


def start_the_second(site, load):
    site.start(1, "--model=minilm")


@contextmanager
def a_version_that_dies_of_a_text(site):
    """A caller asks again and again what a step dies of."""
    promote(site, "minilm", DEADLY)
    with site.asked(embedding(MORTAL), pause_s=15) as load:  # rather while a server answers than while it starts
        yield load


def read_what_died(site, load):
    """The alert may be of starts that another rehearsal made a moment ago, before this version has died twice."""
    until_s = time.monotonic() + 180
    while sum(line.startswith("starting the server again") for line in site.servers[0].lines) < 2:
        assert time.monotonic() < until_s, "the version never died twice"
        time.sleep(0.5)


def stop_asking(site, load):
    load.end()
    site.wait_for_answers_of("minilm")


def ask_what_it_died_of(site, load):
    """Without it a rollback that does nothing would pass: nobody asks any more, and the alert ends by itself."""
    with Client(site.url, timeout_s=60) as client:
        assert client.embed([MORTAL], model="minilm").version == "1"


@contextmanager
def a_version_that_gives_nan(site):
    """Version 1 gives numbers for these texts, and the one that was promoted NaN."""
    promote(site, "minilm", NONFINITE)
    with site.asked(embedding(BECAUSE_TEXT), pause_s=0.2) as load:
        yield load
    assert load.answers, "as it is again"


@contextmanager
def a_version_whose_network_fails(site):
    """Version 1 knows the rare words of these texts, and the one that was promoted does not."""
    promote(site, "minilm", FAILING)
    with site.asked(embedding(RARE), pause_s=0.2) as load:
        yield load
    assert load.answers, "as it is again"


def read_the_fault(site, load):
    assert isinstance(load.failures[-1], InferenceFailed)
    log = site.log
    assert load.failures[-1].request_id in log
    assert RARE not in log


@contextmanager
def a_candidate_whose_network_fails(site):
    """Half of the callers are answered by a version that does not know rare words."""
    site.run("encserve canary NAME VERSION --share 50%", 0, NAME="minilm", VERSION=str(FAILING))
    with site.asked(embedding(RARE, callers=20), callers=2, pause_s=0.1) as load:
        yield load


def see_the_candidate(site, load):
    failing = site.watching.value('ALERTS{alertname="Failures", alertstate="firing"}', label="version")
    assert failing == str(FAILING)
    assert load.answers
    assert load.failures


@contextmanager
def another_large_pipeline(site):
    """The cascade was fitted to version 1 of it."""
    promote(site, "large", 2)
    with site.asked(classifying, pause_s=0.2) as load:
        yield load


async def classifying(client, **how):
    await client.classify(["a text"], model="topics", **how)


def read_what_is_unfit(site, load):
    with Client(site.url, timeout_s=60) as client, pytest.raises(InferenceFailed, match="version 1 of large"):
        client.classify(["a text"], model="topics")


@contextmanager
def much_at_once(site):
    """All of it waits, and nobody is refused."""
    with site.asked(embedding(*LONG), callers=PLACES * 9 // 10 // len(LONG)) as load:
        yield load


@contextmanager
def more_than_has_a_place(site):
    """Half as much again as one server keeps. What two keep is less than two have places for."""
    with site.asked(embedding(*LONG), callers=PLACES * 3 // 2 // len(LONG)) as load:
        yield load


def add_a_replica(site, load):
    start_the_second(site, load)
    load.ask_also(site.url_of(1))


def move_to_bulk(site, load):
    load.priority = "bulk"


@contextmanager
def much_to_generate(site):
    """Many long texts of a pipeline that makes a token after the other."""

    async def generate(client, **how):
        await client.generate(["one two three"], model="t5", max_new_tokens=400, min_new_tokens=400, **how)

    with site.asked(generate, callers=60) as load:
        yield load


SHORT = [f"a horse sleeps {number}" for number in range(20)]
OTHER = [f"Тогда старый кит ел красную акулу {number} " * 5 for number in range(20)]


@contextmanager
def other_texts(site):
    """For longer than the week of these rules texts are short and English, and then long and Russian."""
    with site.asked(embedding(*SHORT), pause_s=0.5) as load:
        time.sleep(85)
        load.question = embedding(*OTHER)
        yield load


def send_the_texts_of_before(site, load):
    assert {"TextsDrift", "AnswersDrift"} <= site.watching.alerts()
    load.question = embedding(*SHORT)
