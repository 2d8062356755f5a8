"""Three real servers behind each client, under load: no call fails when one dies and one comes, and shares are even.

Their networks are stand-ins that take a text's time asleep, all the same: a server that is faster for a moment gets
more, as it should, and on a machine that they share one always is.
"""

import os
import signal
from contextlib import ExitStack
from functools import partial

import pytest
import steady_load
from serving import serve_config
from steady_load import Load, wait_until

from encserve_server.launcher.server import TritonServer

TOKENS_PER_S = 200
"""Of each server: some thirty calls."""
answered = partial(steady_load.answered, model="tiny")
shares_under = partial(steady_load.shares_under, model="tiny", calls=300)


@pytest.fixture
def paced(cpp_repository, tmp_path, monkeypatch):
    """A model repository with the pipeline `tiny`, whose network computes `TOKENS_PER_S`."""
    monkeypatch.setenv("STAND_IN_TOKENS_PER_S", str(TOKENS_PER_S))
    monkeypatch.setenv("STAND_IN_FAILS", str(tmp_path / "fails"))
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "log"))
    return cpp_repository


def test_no_call_fails_while_one_of_three_servers_dies_and_one_comes(paced):
    """And the shares of those that are there are even, before and after: all are alike, and none was flooded before."""
    dying, server, third, coming = (TritonServer(serve_config(paced, exit_timeout_s=5)) for _ in range(4))
    with ExitStack() as stack:
        for each in (dying, server, third):
            stack.enter_context(each)
        with Load([each.grpc_url for each in (dying, server, third, coming)], "tiny") as load:
            wait_until(lambda: load.check() or (answered(dying) >= 20 and answered(third) >= 20))
            before = shares_under(load, (dying, server, third))
            os.kill(dying.pid, signal.SIGKILL)
            stack.enter_context(coming)
            wait_until(lambda: load.check() or answered(coming) >= 50)
            after = shares_under(load, (server, third, coming))
    for shares in (before, after):
        assert max(shares) <= 1.2 * min(shares), (before, after)
