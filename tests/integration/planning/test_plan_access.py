"""`encserve plan`, its check and the Locust users where a server does not let in whoever comes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from edge import Gateway
from serving import serve_config

from encserve_server.launcher.server import TritonServer
from encserve_server.tls import ServerTls

LOCUSTFILE = Path(__file__).parents[3] / "loadtest" / "locustfile.py"
ADMIN_SECRET = "a-secret-of-the-administration"


@pytest.fixture(scope="module")
def mutual(repository, authority):
    """Triton, which wants a certificate of whoever asks, and what a caller has to show."""
    issued, probe, caller = (authority.issue(name) for name in ("planned", "planned-probe", "planner"))
    tls = ServerTls(
        cert=issued.cert, key=issued.key, client_ca=authority.cert, probe_cert=probe.cert, probe_key=probe.key
    )
    with TritonServer(serve_config(repository, models=("minilm",), tls=tls, admin_secret=ADMIN_SECRET)) as server:
        yield server, {"ca": str(authority.cert), "cert": str(caller.cert), "key": str(caller.key)}


@pytest.fixture
def run(tmp_path):
    """Runs a command in a folder of its own, as a user who cannot read the secret that the server keeps in a file."""

    def run(*command, **secrets):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ENCSERVE_")}
        environment |= {"TMPDIR": str(tmp_path), **secrets}
        command = [sys.executable, "-m", *map(str, command)]
        return subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=300)

    return run


def plan_options(files):
    return [f"--tls-ca={files['ca']}", f"--tls-cert={files['cert']}", f"--tls-key={files['key']}"]


def test_a_check_shows_its_certificate_and_needs_no_secret(mutual, run, tmp_path):
    server, files = mutual
    target = "targets: [{model: %s, rate: 5, p99: 60s, duration: 1s}]\n"
    (tmp_path / "slo.yaml").write_text(target % "minilm")
    (tmp_path / "unknown.yaml").write_text(target % "other")
    check = ("encserve", "plan", f"--url={server.grpc_url}")
    held = run(*check, "--check=slo.yaml", *plan_options(files))
    assert held.returncode == 0, held.stderr
    assert held.stdout.startswith("held ")
    for file, options, secrets, refusal in [
        ("slo.yaml", [], {}, "is down"),
        ("slo.yaml", [f"--tls-ca={files['ca']}"], {"ENCSERVE_ADMIN_SECRET": ADMIN_SECRET}, "is down"),
        ("unknown.yaml", plan_options(files), {}, "those that are: who asks may not list them"),
        ("unknown.yaml", plan_options(files), {"ENCSERVE_ADMIN_SECRET": ADMIN_SECRET}, "those that are: minilm"),
    ]:
        refused = run(*check, f"--check={file}", *options, **secrets)
        assert refused.returncode == 1, refused.stdout
        assert refusal in refused.stderr


def test_a_plan_shows_its_certificate_and_tells_no_secret(mutual, run, tmp_path):
    server, files = mutual
    options = [f"--url={server.grpc_url}", f"--metrics-url={server.metrics_url}", *plan_options(files)]
    options += [
        "--model=minilm",
        "--p99=1ms",
        "--window=200ms",
        "--time-limit=20s",
        "--corpus=queries",
    ]  # impossible, and soon known to be
    done = run("encserve", "plan", *options, ENCSERVE_ADMIN_SECRET=ADMIN_SECRET)
    assert done.returncode == 1, done.stderr
    found = json.loads((tmp_path / "plan.json").read_text())
    assert [step["name"] for step in found["steps"]] == ["tokenize", "encode", "head"]
    assert any(window["steps"] for window in found["windows"])
    written = [done.stdout, done.stderr, (tmp_path / "plan.json").read_text(), (tmp_path / "plan.html").read_text()]
    assert not any(ADMIN_SECRET in text for text in written)


def test_locust_shows_its_certificate_and_its_secret(mutual, run):
    server, files = mutual
    users = ["locust", "-f", LOCUSTFILE, f"--host={server.grpc_url}", "--headless", "-u", "2", "-t", "15s"]
    encrypted = [f"--server-ca={files['ca']}", f"--client-cert={files['cert']}", f"--client-key={files['key']}"]
    done = run(*users, "--only-summary", *encrypted, ENCSERVE_ADMIN_SECRET=ADMIN_SECRET)
    assert done.returncode == 0, done.stderr
    assert "embed, " in done.stdout + done.stderr
    refused = run(*users, "--only-summary", ENCSERVE_ADMIN_SECRET=ADMIN_SECRET)
    assert refused.returncode == 2
    assert "is down" in refused.stderr


@pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx: apt-get install nginx")
def test_a_check_shows_its_key_to_a_gateway(server, authority, run, tmp_path, tmp_path_factory):
    (tmp_path / "slo.yaml").write_text("targets: [{model: minilm, rate: 5, p99: 60s, duration: 1s}]\n")
    before = Gateway(tmp_path_factory.mktemp("gateway"), server, authority)
    key = before.new_key("planner")
    with before as gateway:
        check = ("encserve", "plan", "--check=slo.yaml", f"--url={gateway.url}", f"--tls-ca={authority.cert}")
        assert run(*check, ENCSERVE_API_KEY="x" * 64).returncode == 1
        held = run(*check, ENCSERVE_API_KEY=key)
    assert held.returncode == 0, held.stderr
    assert held.stdout.startswith("held ")
