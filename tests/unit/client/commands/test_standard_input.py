"""`encserve embed -` on a pipe whose lines are long in coming."""

import signal
import subprocess
import sys

import pytest

TIMEOUT_S = 60.0

COMMAND = """
import sys
import numpy as np
from encserve import Client, InferenceFailed, _cli
from encserve.testing import FakeTransport
from encserve._commands import server_arguments

def answer(request):
    if b"fail" in request.inputs["text"]:
        raise InferenceFailed("broken")
    counts = np.array([[len(text) for text in request.inputs["text"]]], np.int32)
    vectors = np.zeros((1, counts.size, 3), np.float32)
    return {"embedding": vectors, "token_count": counts, "dropped_count": np.zeros_like(counts)}

server_arguments.Client = lambda url, **settings: Client(transport=FakeTransport(answer))
sys.exit(_cli.main(["embed", "--model", "fake", "-"]))
"""


@pytest.fixture
def command():
    """`encserve embed -`, which has answered one line and waits for the next."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", COMMAND], **pipes, text=True) as process:
        tell(process, "a")
        assert '"index": 0, "token_count": 1' in process.stdout.readline()
        yield process
        if process.poll() is None:
            process.kill()


def tell(process, line):
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def test_a_line_is_answered_before_the_next_is_there(command):
    tell(command, "bb")
    assert '"index": 1, "token_count": 2' in command.stdout.readline()
    command.stdin.close()
    assert command.wait(TIMEOUT_S) == 0


def interrupt(command):
    command.send_signal(signal.SIGINT)


def fail(command):
    tell(command, "fail")


def stop_reading(command):
    command.stdout.close()
    tell(command, "bb")


@pytest.mark.parametrize(
    ("what_happens", "code", "said"),
    [
        (interrupt, 130, ""),
        (fail, 1, "encserve: error: broken; rows 0 to 0 are done\n"),
        (stop_reading, 141, ""),
    ],
)
def test_it_ends_in_order_while_it_waits_for_a_line(command, what_happens, code, said):
    what_happens(command)
    assert command.wait(TIMEOUT_S) == code
    assert command.stderr.read() == said
