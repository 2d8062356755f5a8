"""Connections end after a while, so that clients find the replicas that came later."""

import psutil
from serving import serve_config
from steady_load import Load, wait_until

from encserve_server.launcher import flags
from encserve_server.launcher.server import TritonServer


def connections_to(port):
    """The local ports from which this process is connected to a port of this host."""
    found = psutil.Process().net_connections("tcp")
    return {each.laddr.port for each in found if each.raddr and each.raddr.port == port}


def test_connections_grow_old_and_no_call_notices(repository, monkeypatch):
    """Or a client that looked a name up once would never find the replicas that came later."""
    monkeypatch.setattr(flags, "CONNECTION_AGE_S", 1)
    config = serve_config(repository, models=("minilm",), exit_timeout_s=5)
    seen = set()
    with TritonServer(config) as server, Load(server.grpc_url) as load:
        wait_until(lambda: load.check() or seen.update(connections_to(config.grpc_port)) or len(seen) >= 8)
        assert server.pid
