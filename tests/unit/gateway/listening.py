"""A gateway before fake pipelines that listens on a port, as uvicorn runs it, in a thread."""

import threading
from contextlib import contextmanager

import uvicorn

from encserve_gateway.config import GatewayConfig
from encserve_gateway.serving import ServingConfig, uvicorn_config


@contextmanager
def listening(application):
    """The port of an application."""
    config = uvicorn_config(ServingConfig(port=0), GatewayConfig())
    config.app, config.factory = application, False
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    listener.listen()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
        assert not thread.is_alive()
