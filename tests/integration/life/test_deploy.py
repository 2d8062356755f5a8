"""What the containers run, run here: the command of the compose file, its health check, and the metrics it shows."""

import argparse
import hashlib
import json
import re
from dataclasses import replace

import httpx2
from deploy_files import METRIC, queries, read_compose
from gateways import running_gateway
from helm_chart import render, scaling_queries
from serving import serve_config

from encserve import Client, EncserveError
from encserve_server import command, health
from encserve_server.launcher.server import TritonServer

OF_OTHERS = re.compile("nv_gpu_.*|encserve_first_(labels|score_.*)|encserve_(cascade|generate)_.*")
"""Of GPUs, classifiers, cascades, and pipelines that generate; tests of the last two ask a live one for theirs."""
SCALED = {"monitoring": {"enabled": True}, "autoscaling": {"kind": "keda"}}


def test_the_command_of_the_compose_file_serves_and_is_healthy(repository, tmp_path):
    _, _, *arguments = read_compose()["services"]["triton-cpu"]["command"]
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    here = serve_config(repository)
    given = replace(
        command.config_of(parser.parse_args(arguments)),
        repository=repository,
        metrics_host="127.0.0.2",
        **{name: getattr(here, name) for name in ("host", "http_port", "grpc_port", "metrics_port")},
    )
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [{"name": "alice", "sha256": hashlib.sha256(b"secret").hexdigest()}]}))
    access = ("--model", "minilm", "--keys", str(keys))
    with (
        TritonServer(given) as server,
        running_gateway(server.grpc_url, *access) as gateway,
        Client(server.grpc_url) as client,
    ):
        client.embed(["a text"] * 3, model="minilm")
        text = {"model": "minilm", "input": "a text"}
        headers = {"authorization": "Bearer secret"}
        httpx2.post(f"{gateway}/v1/embeddings", json=text, headers=headers).raise_for_status()
        assert is_healthy(server.grpc_url)
        shown = shown_by(server.metrics_url) | shown_by(f"{gateway}/metrics", headers)
        assert server.metrics_url.startswith("http://127.0.0.2:")
    asked = (*queries(), *scaling_queries(render(SCALED)).values())
    wanted = {name for query in asked for name in METRIC.findall(query) if not OF_OTHERS.fullmatch(name)}
    assert wanted <= shown
    assert not is_healthy(server.grpc_url)


def shown_by(url, headers=None):
    """The names of the metrics that a page shows."""
    page = httpx2.get(url, headers=headers, timeout=30).raise_for_status()
    return set(re.findall(r"^[a-z]\w+", page.text, re.MULTILINE))


def is_healthy(url):
    parser = argparse.ArgumentParser()
    health.add_arguments(parser)
    try:
        return health.run(parser.parse_args(["--url", url])) == 0
    except EncserveError:
        return False
