"""What is seen of a server from outside, a dying one too."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from encserve_server.liveness.signs import metrics_of, total, wanted_cpu_s
from encserve_server.steps.instance.load_page import process_state

METRICS = [
    "# HELP encserve_refused_requests Requests",
    'encserve_refused_requests{lane="bulk",limit="timeout",model="minilm_tokenize",version="1"} 3',
    'encserve_refused_requests{lane="bulk",limit="timeout",model="minilm_tokenize",version="2"} 4',
    'encserve_refused_requests{lane="bulk",limit="timeout",model="other_tokenize",version="1"} 100',
    'encserve_refused_requests{lane="bulk",model="minilm_tokenize"} 3.5.7',
    'encserve_refused_requests{lane="bulk",model="minilm_tokenize"',
]


def test_series_are_summed_and_broken_lines_count_nothing():
    assert total(METRICS, "encserve_refused_requests", "minilm_tokenize") == 7


HALF_ANSWERS = {
    "nothing": b"",
    "no status": b"HTT",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Len",
    "half a page": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnv_inference_request_success{",
    "no text": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe",
    "no HTTP": b"\x00\x01\x02\x03\r\n\r\n",
}


@pytest.mark.parametrize("answer", HALF_ANSWERS.values(), ids=HALF_ANSWERS)
def test_half_an_answer_of_a_dying_server_says_nothing(answer):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert list(metrics_of(f"http://127.0.0.1:{listening.getsockname()[1]}/metrics")) == []
        thread.join()


def test_a_process_that_waits_for_a_core_wants_it():
    """Two share one: together they want about twice what they get, and each is busy."""
    core = min(os.sched_getaffinity(0))
    spin = f"import os; os.sched_setaffinity(0, [{core}])\nwhile True: pass"
    spinning = [subprocess.Popen([sys.executable, "-S", "-c", spin]) for _ in range(2)]
    try:
        while min(wanted_cpu_s([each.pid]) - computed_s(each.pid) for each in spinning) < 0.02:
            assert all(each.poll() is None for each in spinning)
    finally:
        for each in spinning:
            each.kill()
            each.wait()


def computed_s(pid):
    fields = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(fields[0]) / 1e9


def test_processes_that_are_gone_use_nothing_and_do_nothing():
    assert wanted_cpu_s([2**22 + 1]) == 0
    assert process_state(os.getpid()) in ("R", "S", "D")
    assert process_state(2**22 + 1) == ""
