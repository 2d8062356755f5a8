"""Commands that change versions, and callers who ask meanwhile."""

import argparse
import threading
import time
from contextlib import contextmanager

from encserve import Client, Retry
from encserve_lifecycle.comparison import command as compare
from encserve_server import health

NO_RETRIES = Retry(attempts=1)
PAUSE_S = 0.06
"""Of a caller between two questions: without one they take the cores on which a version loads, which then takes many
times as long to come and go. What waits for them counts answers, and no time."""


def command(module, server, *words):
    """Run one of the commands as a shell would."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    repository = () if module in (health, compare) else (f"--repository={server.config.repository}",)
    return module.run(parser.parse_args([*words, f"--url={server.grpc_url}", *repository]))


@contextmanager
def callers(server, count=4, *, strangers=False, named=None):
    """Callers who ask again and again, without retries, as long as the block lasts: the versions that answered.

    `strangers` are new to the server with each question, so that they ask as well what a version is; all have the name
    `named`, if there is one.
    """
    versions, failures, done = [], [], threading.Event()

    def ask(number):
        while not done.is_set():
            with Client(server.grpc_url, retry=NO_RETRIES, timeout_s=300) as client:
                try:
                    while not done.wait(PAUSE_S):
                        text = f"{number} {len(versions)}"
                        versions.append(client.embed([text], model="minilm", caller=named).version)
                        if strangers:
                            break
                except Exception as error:
                    failures.append(error)
                    return

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield versions
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []


def answers_from(server, version):
    with Client(server.grpc_url) as client:
        return client.embed(["x"], model="minilm").version == str(version)


def wait_for(versions, more):
    """Until so many more answers have come. Callers who failed bring none."""
    enough, deadline_s = len(versions) + more, time.monotonic() + 300
    while len(versions) < enough:
        assert time.monotonic() < deadline_s, f"{len(versions)} answers, and no more"
        time.sleep(0.01)
