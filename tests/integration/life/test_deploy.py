"""What the containers run, run here: the command of the compose file, its health check, and the metrics it shows."""

import argparse
import re
import urllib.request
from dataclasses import replace

from deploy_files import METRIC, queries, read_compose
from helm_chart import render, scaling_queries
from serving import serve_config

from encserve import Client, EncserveError
from encserve_server import command, health
from encserve_server.launcher.server import TritonServer

OF_GPUS = re.compile("nv_gpu_.*")
SCALED = {"monitoring": {"enabled": True}, "autoscaling": {"kind": "keda"}}


def test_the_command_of_the_compose_file_serves_and_is_healthy(repository):
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
    with TritonServer(given) as server, Client(server.grpc_url) as client:
        client.embed(["a text"] * 3, model="minilm")
        assert is_healthy(server.grpc_url)
        with urllib.request.urlopen(server.metrics_url, timeout=30) as page:
            shown = set(re.findall(r"^[a-z]\w+", page.read().decode(), re.MULTILINE))
        assert server.metrics_url.startswith("http://127.0.0.2:")
    asked = (*queries(), *scaling_queries(render(SCALED)).values())
    wanted = {name for query in asked for name in METRIC.findall(query) if not OF_GPUS.fullmatch(name)}
    assert wanted <= shown
    assert not is_healthy(server.grpc_url)


def is_healthy(url):
    parser = argparse.ArgumentParser()
    health.add_arguments(parser)
    try:
        return health.run(parser.parse_args(["--url", url])) == 0
    except EncserveError:
        return False
