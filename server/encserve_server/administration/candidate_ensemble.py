"""The ensemble through which a version is asked beside the one that serves. Only a running server has it, under a name
of its own: the repository keeps no more than which version it is."""

from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2 as pb

from encserve import PipelineInfo
from encserve_repository.config_text import parameters_of
from encserve_repository.layout import candidate_model
from encserve_repository.versions import only_version
from encserve_server.administration.channel import Administration


def load_candidate(administration: Administration, name: str, config: pb.ModelConfig) -> PipelineInfo:
    """Load the ensemble of a version, as it was published, as the candidate of pipeline `name`, in the place of another
    one. Its steps must be loaded. Returns what can be asked.

    Raises:
        EncserveError: the server does not load it.
    """
    version = only_version(config)
    candidate = pb.ModelConfig()
    candidate.CopyFrom(config)
    candidate.name = candidate_model(name)
    administration.load(
        candidate.name,
        config=json_format.MessageToDict(candidate, preserving_proto_field_name=True),
        files={f"{version}/candidate": b""},
    )
    return PipelineInfo.from_parameters(candidate.name, parameters_of(config), version=str(version))
