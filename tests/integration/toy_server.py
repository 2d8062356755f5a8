"""The configuration of a server of toys, and the question that it answers."""

from pathlib import Path

import numpy as np
import tritonclient.grpc as triton
from own_ports import own_ports
from tritonclient.utils import InferenceServerException

from encserve import PipelineInfo, Unavailable
from encserve_server.config import ServeConfig


def ask(grpc_url: str, pipeline: PipelineInfo, text: str = "ready") -> str:
    """What a toy answers; as a probe of the launcher it raises Unavailable where there is no answer."""
    with triton.InferenceServerClient(grpc_url) as client:
        tensor = triton.InferInput("text", [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[text]], dtype=np.object_))
        try:
            return client.infer(pipeline.name, [tensor], client_timeout=30).as_numpy("answer")[0, 0].decode()
        except InferenceServerException as error:
            raise Unavailable(str(error)) from error


def make_config(repository: Path, **options: object) -> ServeConfig:
    """A server on free ports that has three minutes to start and five seconds to end."""
    http_port, grpc_port, metrics_port = own_ports(3)
    ports = {"http_port": http_port, "grpc_port": grpc_port, "metrics_port": metrics_port}
    return ServeConfig(**{"repository": repository, **ports, "startup_timeout_s": 180, "exit_timeout_s": 5, **options})
