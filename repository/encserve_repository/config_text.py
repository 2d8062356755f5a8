"""Triton's config.pbtxt: its text, the versions that it pins, and the way back that an ensemble keeps.

The schema is `tritonclient`'s: the protobuf messages that Triton itself reads these files with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from .errors import Damaged

PIPELINE_MARK = "encserve_contract"
"""The parameter that makes an ensemble a pipeline of encserve."""
_CERTIFICATE = "certificate"
_PREVIOUS = "previous_version"
_CANDIDATE = "candidate"
_WRITTEN_FOR = "written_for_version"
_TUNED = ("max_batch_size", "instance_group", "dynamic_batching")
"""The fields that an operator may have changed by hand in a config.pbtxt that is served."""


def to_text(config: pb.ModelConfig) -> str:
    """Return the text of a config.pbtxt."""
    return str(text_format.MessageToString(config))


def from_text(text: str) -> pb.ModelConfig:
    """Return the configuration in the text of a config.pbtxt. Raises google.protobuf.text_format.ParseError."""
    config = pb.ModelConfig()
    config.CopyFrom(_parse(text))
    return config


@lru_cache(maxsize=256)  # protobuf's parser takes milliseconds, and the same few texts are read again and again
def _parse(text: str) -> pb.ModelConfig:
    return text_format.Parse(text, pb.ModelConfig())


def read_config(file: Path) -> pb.ModelConfig:
    """Return the configuration in a config.pbtxt.

    Raises:
        Damaged: it is none.
        OSError: it cannot be read; FileNotFoundError where there is none.
    """
    try:
        return from_text(file.read_text(encoding="utf-8"))
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise Damaged(f"{file} is no Triton model configuration: {error}") from error


def is_pipeline(config: pb.ModelConfig) -> bool:
    """Return whether a model is a pipeline of encserve."""
    return PIPELINE_MARK in config.parameters


def parameters_of(config: pb.ModelConfig) -> dict[str, str]:
    """Return the parameters of a model, as a client reads them."""
    return {key: value.string_value for key, value in config.parameters.items()}


def certificate_of(config: pb.ModelConfig) -> str:
    """Return the sha256 of the manifest that an ensemble was published with."""
    return str(config.parameters[_CERTIFICATE].string_value) if _CERTIFICATE in config.parameters else ""


def set_certificate(config: pb.ModelConfig, sha256: str) -> None:
    """Have an ensemble name another manifest by its sha256."""
    config.parameters[_CERTIFICATE].string_value = sha256


def pinned_versions(config: pb.ModelConfig) -> list[int]:
    """Return the versions of a model that Triton loads."""
    return list(config.version_policy.specific.versions)


def pin_versions(config: pb.ModelConfig, versions: Iterable[int]) -> None:
    """Let Triton load exactly `versions` of a model."""
    config.version_policy.specific.ClearField("versions")
    config.version_policy.specific.versions.extend(sorted(set(versions)))


def steps_of(config: pb.ModelConfig) -> dict[str, int]:
    """Return the steps of an ensemble in their order: model -> the version of it."""
    return {step.model_name: int(step.model_version) for step in config.ensemble_scheduling.step}


def previous_version(config: pb.ModelConfig) -> int | None:
    """Return the version that an ensemble took the place of; None where it took no other's."""
    kept = config.parameters[_PREVIOUS].string_value if _PREVIOUS in config.parameters else ""
    return int(kept) if kept.isdecimal() else None


def keep_previous(config: pb.ModelConfig, version: int | None) -> None:
    """Note in an ensemble which version it takes the place of."""
    if version is not None:
        config.parameters[_PREVIOUS].string_value = str(version)


def candidate_version(config: pb.ModelConfig) -> int | None:
    """Return the version that answers a share of the callers beside the one that an ensemble pins; None for none.

    Raises:
        Damaged: the parameter does not name one.
    """
    if _CANDIDATE not in config.parameters:
        return None
    text = config.parameters[_CANDIDATE].string_value
    try:
        return int(json.loads(text)["version"])
    except (ValueError, TypeError, KeyError) as error:
        raise Damaged(f"the parameter {_CANDIDATE!r} of {config.name} names no version: {text!r}") from error


def keep_candidate(config: pb.ModelConfig, text: str | None) -> None:
    """Note in an ensemble which version answers beside it, and for what share: in the words that clients read, or with
    None that there is no such version."""
    if text is None:
        config.parameters.pop(_CANDIDATE, None)
    else:
        config.parameters[_CANDIDATE].string_value = text


def version_of_text(config: pb.ModelConfig) -> int | None:
    """Return the version that a step's configuration was exported with; None where it does not say."""
    stated = config.parameters[_WRITTEN_FOR].string_value if _WRITTEN_FOR in config.parameters else ""
    return int(stated) if stated.isdecimal() else None


def state_version(config: pb.ModelConfig, version: int) -> None:
    """Note in a step's configuration which version it was exported with: a model has one for all its versions."""
    config.parameters[_WRITTEN_FOR].string_value = str(version)


def keep_tuning(config: pb.ModelConfig, *, served: pb.ModelConfig, made: pb.ModelConfig) -> None:
    """Take over into `config` what an operator changed in `served` since it was `made`, where the versions agree."""
    for field in _TUNED:
        if getattr(served, field) != getattr(made, field) == getattr(config, field):
            config.ClearField(field)
            config.MergeFrom(_only(served, field))


def _only(config: pb.ModelConfig, field: str) -> pb.ModelConfig:
    part = pb.ModelConfig()
    part.CopyFrom(config)
    for descriptor, _ in config.ListFields():
        if descriptor.name != field:
            part.ClearField(descriptor.name)
    return part
