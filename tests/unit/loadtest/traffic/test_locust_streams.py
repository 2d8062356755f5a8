"""How Locust's users count answers in pieces: in a process of its own, since Locust changes the sockets of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

LOCUSTFILE = Path(__file__).parents[4] / "loadtest" / "locustfile.py"
JUDGED = """
import runpy, sys
from argparse import Namespace

found = runpy.run_path(sys.argv[1])  # gevent first

import numpy as np
from locust.env import Environment
from encserve import Client
from encserve.testing import FakeTransport, fake_pipeline
from encserve_loadtest.traffic.tasks import TASKS
from encserve_loadtest.traffic.workload import Workload

asked = []


def answer(request):
    asked.append(request)
    return [part("a", ""), part(" b", "deadline" if len(asked) % 10 == 0 else "length")]


def part(piece, finish):
    one = np.ones((1, 1), np.int32)
    return {
        "text_output": np.array([[piece.encode()]], object),
        "index": one - 1,
        "finish": np.array([[finish.encode()]], object),
        "output_token_count": 2 * one,
        "token_count": 3 * one,
        "dropped_count": one - 1,
    }


task = "text2text-generation"
pipeline = fake_pipeline(task=task)
found["Session"].workload = Workload(
    pipeline=pipeline, task=TASKS[task], corpus="c", requests=[["a text"]], lengths=np.array([3]), streams=True
)
environment = Environment(parsed_options=Namespace(max_fail_ratio=float(sys.argv[2]), max_p99=""))
environment.create_local_runner()  # which counts
with Client(transport=FakeTransport(answer, pipelines=[pipeline])) as found["Session"].client:
    user = found["GenerateUser"](environment)
    for _ in range(100):
        user.ask()
found["judge"](environment)
sys.exit(environment.process_exit_code)
"""


@pytest.mark.parametrize(("most", "code", "said"), [("0.08", 1, "10.00% of the requests failed"), ("0.12", 0, "")])
def test_a_share_of_failures_is_one_of_whole_answers(most, code, said):
    done = subprocess.run(
        [sys.executable, "-c", JUDGED, str(LOCUSTFILE), most], text=True, capture_output=True, timeout=300
    )
    assert done.returncode == code, done.stderr
    assert said in done.stderr
