"""`encserve gateway` as a process of its own."""

import subprocess
import sys
from contextlib import contextmanager


@contextmanager
def running_gateway(url, *options):
    """Its address, such as "http://127.0.0.1:4711", before the server at `url`."""
    command = [sys.executable, "-m", "encserve", "gateway", "--url", url, "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()
        assert process.wait(30) == 0
