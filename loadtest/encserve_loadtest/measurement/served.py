"""The settings with which a server runs the steps of a pipeline, asked of the server itself."""

from contextlib import closing
from dataclasses import dataclass, replace

from tritonclient.grpc import model_config_pb2, service_pb2

from encserve import Cascade, GrpcTransport
from encserve._commands.access import Access

ASK_TIMEOUT_S = 5.0
CASCADE = "cascade"
"""The parameter of a configuration that makes its pipeline a cascade."""
SHARED = "shared"
"""What a step is named after that both pipelines of a cascade have: nobody can tell for which of them it computed."""


@dataclass(frozen=True, kw_only=True)
class ServedStep:
    """One step of a pipeline."""

    name: str
    """What it does: "tokenize", "encode", "head"; of the pipelines that a cascade asks "small tokenize" and so on. The
    pipelines of several heads share the encode step of the first; where both pipelines of a cascade do, it is
    "shared encode"."""
    model: str
    """Its name in Triton."""
    instances: int
    """How many executions run side by side."""
    max_batch_size: int
    """Requests per execution at most."""
    queue_delay_us: int
    """How long a request may wait for others to share its batch."""


class _Configurations(GrpcTransport):
    """A channel over which whole configurations are asked for."""

    def config(self, model: str) -> model_config_pb2.ModelConfig:
        request = service_pb2.ModelConfigRequest(name=model)
        return self.ask("ModelConfig", request, timeout_s=ASK_TIMEOUT_S).config


def role_of(model: str) -> str:
    """What a step does, out of the name of its model: NAME_encode and NAME_encode_tensorrt both encode."""
    return model.removesuffix("_tensorrt").rpartition("_")[2]


def served_steps(url: str, pipeline: str, access: Access) -> tuple[ServedStep, ...]:
    """The steps of a pipeline in their order, with those of the pipelines that it asks, if it is a cascade. Empty for a
    model that is no ensemble.

    Raises:
        EncserveError: the server does not answer, or lets nobody in with this access.
    """
    with closing(_Configurations(url, tls=access.tls, api_key=access.api_key)) as server:
        config = server.config(pipeline)
        found = _steps(server, config)
        if CASCADE in config.parameters:
            stated = Cascade.from_text(config.parameters[CASCADE].string_value)
            found += _of_both(*(_steps(server, server.config(name)) for name in (stated.small, stated.large)))
        return found


def _of_both(small: tuple[ServedStep, ...], large: tuple[ServedStep, ...]) -> tuple[ServedStep, ...]:
    """The steps of the pipelines of a cascade, each once and named by whose it is."""
    ours, theirs = ({step.model for step in steps} for steps in (small, large))
    return (
        *(replace(step, name=f"{SHARED if step.model in theirs else 'small'} {step.name}") for step in small),
        *(replace(step, name=f"large {step.name}") for step in large if step.model not in ours),
    )


def _steps(server: _Configurations, config: model_config_pb2.ModelConfig) -> tuple[ServedStep, ...]:
    return tuple(_step(server.config(step.model_name)) for step in config.ensemble_scheduling.step)


def _step(config: model_config_pb2.ModelConfig) -> ServedStep:
    return ServedStep(
        name=role_of(config.name),
        model=config.name,
        instances=sum(group.count * max(1, len(group.gpus)) for group in config.instance_group) or 1,
        max_batch_size=config.max_batch_size,
        queue_delay_us=config.dynamic_batching.max_queue_delay_microseconds,
    )
