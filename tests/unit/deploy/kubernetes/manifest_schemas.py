"""Whether manifests keep to the schemas of Kubernetes, and custom resources to those of their projects."""

import json
from functools import cache
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource

CRDS = Path(__file__).parent / "crds"
CUSTOM = {file.stem for file in CRDS.glob("*.json")}


def mistakes(manifest, release):
    """What a release of Kubernetes, such as "1.37.0", or a custom resource's own project would refuse in a manifest."""
    kind = manifest["kind"]
    validator = custom_validator(kind) if kind in CUSTOM else native_validator(kind, manifest["apiVersion"], release)
    return [f"{kind} {'.'.join(map(str, each.path))}: {each.message[:300]}" for each in validator.iter_errors(manifest)]


@cache
def native_validator(kind, api_version, release):
    """Of a kind that Kubernetes has itself; unknown fields are mistakes.

    Raises:
        FileNotFoundError: the release has no such kind.
    """
    schemas = pytest.importorskip("kubernetes_validate", reason="pip install '.[dev]'")
    folder = Path(schemas.__file__).parent / "kubernetes-json-schema" / f"v{release}-local-strict"
    group, _, version = api_version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], version) if part)
    return jsonschema.Draft202012Validator(json.loads((folder / f"{name}.json").read_text()), registry=shared(folder))


@cache
def shared(folder):
    """What the schemas of a release refer to."""
    definitions = json.loads((folder / "_definitions.json").read_text())
    return Resource.from_contents(definitions) @ Registry()


@cache
def custom_validator(kind):
    """Of a custom resource; unknown fields are mistakes, as for `kubectl apply`."""
    return jsonschema.Draft202012Validator(closed(json.loads((CRDS / f"{kind}.json").read_text()), inside=False))


def closed(schema, *, inside=True):
    """A schema that refuses what it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    new = {
        key: {name: closed(each, inside=key != "properties" or name != "metadata") for name, each in value.items()}
        if key == "properties"
        else closed(value)
        for key, value in schema.items()
    }
    open_ends = ("additionalProperties", "x-kubernetes-preserve-unknown-fields")
    if "properties" in new and not any(end in new for end in open_ends):
        new["additionalProperties"] = False
    return new
