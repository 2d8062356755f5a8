"""Cascades that a repository states, which nobody asks."""

import json

from tritonclient.grpc import model_config_pb2 as pb

from encserve_repository.config_text import to_text


def state_cascade(repository, name, text):
    config = pb.ModelConfig(name=name)
    config.parameters["cascade"].string_value = text
    (repository / name).mkdir()
    (repository / name / "config.pbtxt").write_text(to_text(config))


def of(small, large):
    return json.dumps({"small": small, "small_version": "1", "large": large, "large_version": "4"})
