"""Two real servers with a real Valkey between them: what one has computed the other does not."""

import re
import time
import urllib.request
from contextlib import ExitStack

import pytest
from export.shared_rows.evil_cache import real_cache
from serving import serve_config

from encserve import Client
from encserve_server.launcher.server import TritonServer


def counted(server):
    """Event -> how often, of the encode step of minilm."""
    with urllib.request.urlopen(server.metrics_url) as answer:
        text = answer.read().decode()
    found = re.findall(r"encserve_shared_rows\{([^}]*)\} ([0-9.e+]+)", text)
    of_minilm = [(labels, number) for labels, number in found if 'model="minilm_encode"' in labels]
    return {re.search(r'event="(\w+)"', labels)[1]: float(number) for labels, number in of_minilm}


def until(condition):
    end_s = time.monotonic() + 120
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.5)
    assert condition()


@pytest.mark.slow
def test_a_server_has_the_rows_of_another_bit_by_bit(repository, tmp_path):
    texts = [f"text {number} of forty is about a thing of its own" for number in range(40)]
    secret = tmp_path / "secret"
    secret.write_text("a secret that both servers know")
    with ExitStack() as opened:
        port = opened.enter_context(real_cache(tmp_path))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ENCSERVE_SHARED_ROWS_URL", f"valkey://127.0.0.1:{port}")
            patch.setenv("ENCSERVE_SHARED_ROWS_SECRET_FILE", str(secret))
            patch.setenv("ENCSERVE_SHARED_ROWS_BUDGET_MS", "1000")
            servers = [opened.enter_context(TritonServer(serve_config(repository))) for _ in range(2)]
        first, second = (opened.enter_context(Client(server.grpc_url, timeout_s=300)) for server in servers)
        assert counted(servers[0])["found"] == 0
        rows = first.embed(texts, model="minilm").vectors
        until(lambda: counted(servers[0])["kept"] >= 40)
        assert second.embed(texts, model="minilm").vectors.tobytes() == rows.tobytes()
        until(lambda: counted(servers[1])["found"] == 40)
