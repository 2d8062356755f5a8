"""The settings with which a server runs the steps of a pipeline, asked of the server itself."""

from dataclasses import dataclass

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from encserve import Unavailable

ASK_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class ServedStep:
    """One step of a pipeline."""

    name: str
    """What it does: "tokenize", "encode", "head". The pipelines of several heads share the encode step of the first."""
    model: str
    """Its name in Triton."""
    instances: int
    """How many executions run side by side."""
    max_batch_size: int
    """Requests per execution at most."""
    queue_delay_us: int
    """How long a request may wait for others to share its batch."""


def role_of(model: str) -> str:
    """What a step does, out of the name of its model: NAME_encode and NAME_encode_tensorrt both encode."""
    return model.removesuffix("_tensorrt").rpartition("_")[2]


def served_steps(url: str, pipeline: str) -> tuple[ServedStep, ...]:
    """The steps of a pipeline in their order. Empty for a model that is no ensemble.

    Raises:
        Unavailable: the server does not answer.
    """
    try:
        with triton.InferenceServerClient(url) as client:
            ensemble = _config(client, pipeline).ensemble_scheduling
            return tuple(_step(_config(client, step.model_name)) for step in ensemble.step)
    except InferenceServerException as error:
        raise Unavailable(f"{url} does not tell how {pipeline!r} is configured: {error}", model=pipeline) from error


def _config(client: "triton.InferenceServerClient", model: str) -> "triton.model_config_pb2.ModelConfig":
    return client.get_model_config(model, client_timeout=ASK_TIMEOUT_S).config


def _step(config: "triton.model_config_pb2.ModelConfig") -> ServedStep:
    return ServedStep(
        name=role_of(config.name),
        model=config.name,
        instances=sum(group.count * max(1, len(group.gpus)) for group in config.instance_group) or 1,
        max_batch_size=config.max_batch_size,
        queue_delay_us=config.dynamic_batching.max_queue_delay_microseconds,
    )
