"""Streams under way while something dies, hangs or ends, on a server of its own."""

import os
import shutil
import signal
import threading
import time

import pytest
from passages import PASSAGES
from published_t5 import published_t5
from supervised import Supervised

from encserve import Client, EncserveError, Retry, Unavailable

ONCE = Retry(attempts=1)
PATIENT = Retry(attempts=500, maximum_s=1)
LONG = {"min_new_tokens": 1_000, "max_new_tokens": 1_000}


@pytest.fixture
def supervised(exports, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(published_t5(exports)[0], models, ignore=shutil.ignore_patterns(".*"))
    command = Supervised(models, "t5", exit_timeout_s=120)
    yield command
    command.stop()


class Streams:
    """Callers who stream long texts side by side, each with what came of it."""

    def __init__(self, url, count, **options):
        self.began = threading.Semaphore(0)
        self.ends = []
        """How each ended: its finish, or the error."""
        self._url, self._options = url, {**LONG, **options}
        self._threads = [threading.Thread(target=self._ask, args=(PASSAGES[number],)) for number in range(count)]
        for thread in self._threads:
            thread.start()
        for _ in self._threads:
            assert self.began.acquire(timeout=120)

    def _ask(self, text):
        try:
            with (
                Client(self._url, timeout_s=120, retry=ONCE) as client,
                client.generate_stream(text, model="t5", **self._options) as stream,
            ):
                next(stream)
                self.began.release()
                "".join(stream)
            self.ends.append(stream.finish)
        except EncserveError as error:
            self.ends.append(error)
            self.began.release()

    def wait(self):
        for thread in self._threads:
            thread.join(180)
            assert not thread.is_alive(), "a caller waits for ever"


def answers(url):
    with Client(url, timeout_s=300, retry=PATIENT) as client:
        return client.generate(["a"], model="t5").finishes


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_step_that_dies_or_hangs_is_replaced_and_its_callers_are_told(supervised, how):
    streams = Streams(supervised.url, 4)
    os.kill(supervised.step("generate"), how)
    supervised.wait_for_starts(2)
    streams.wait()
    assert len(streams.ends) == 4
    assert all(isinstance(end, EncserveError) or end == "length" for end in streams.ends), streams.ends
    assert any(isinstance(end, EncserveError) for end in streams.ends)
    assert answers(supervised.url) == ["eos"]


@pytest.mark.slow
def test_streams_end_whole_when_the_server_is_told_to_end_and_nobody_new_is_let_in(supervised):
    streams = Streams(supervised.url, 3)
    ending = threading.Thread(target=supervised.stop)
    ending.start()
    refused = None
    until_s = time.monotonic() + 60
    while refused is None and time.monotonic() < until_s:
        try:
            with Client(supervised.url, timeout_s=30, retry=ONCE) as client:
                client.generate(["a"], model="t5")
        except EncserveError as error:
            refused = error
    streams.wait()
    ending.join()
    assert isinstance(refused, Unavailable), refused
    assert streams.ends == ["length"] * 3
    assert supervised.launcher.returncode == 0
