"""The schema of a custom resource, out of the definition that its project publishes: `take.py DEFINITION VERSION`.

    ScaledObject, v1alpha1            kedacore/keda 2.20.1, config/crd/bases
    GRPCRoute and HTTPRoute, v1       kubernetes-sigs/gateway-api of August 2026, config/crd/standard
    ServiceMonitor, PrometheusRule    prometheus-operator/prometheus-operator 0.93.0, example/prometheus-operator-crd
    ServingRuntime, InferenceService  kserve/kserve of August 2026 (0.20), config/crd/full

All are under the Apache License 2.0. Descriptions are left out, and so are the parts of KServe's that the files here do
not use: they repeat the schema of a pod several times.
"""

import json
import sys
from pathlib import Path

import yaml

LEFT_OUT = {
    "ServingRuntime": {"spec": ("workerSpec", "affinity", "builtInAdapter")},
    "InferenceService": {"spec": ("canary", "explainer", "transformer")},
}
KEPT_OF_PREDICTOR = (
    *("minReplicas", "maxReplicas", "terminationGracePeriodSeconds", "automountServiceAccountToken", "model"),
    *("annotations", "labels", "nodeSelector", "tolerations", "timeout"),
)
KEPT_OF_MODEL = ("runtime", "modelFormat", "protocolVersion", "storageUri", "args", "resources", "name", "image")


def bare(schema, *, of_properties=False):
    """A schema without descriptions and without what JSON Schema does not know."""
    if isinstance(schema, list):
        return [bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: bare(value, of_properties=key == "properties" and not of_properties)
        for key, value in schema.items()
        if of_properties or (key != "description" and (not key.startswith("x-") or key.endswith("unknown-fields")))
    }


def taken(definition, version):
    """The schema of one version of a definition, without the status, which nobody writes."""
    (schema,) = (
        each["schema"]["openAPIV3Schema"] for each in definition["spec"]["versions"] if each["name"] == version
    )
    kind = definition["spec"]["names"]["kind"]
    schema = bare(schema)
    schema["properties"].pop("status", None)
    for field, parts in LEFT_OUT.get(kind, {}).items():
        for part in parts:
            schema["properties"][field]["properties"].pop(part)
    if kind == "InferenceService":
        predictor = schema["properties"]["spec"]["properties"]["predictor"]["properties"]
        keep(predictor, KEPT_OF_PREDICTOR)
        keep(predictor["model"]["properties"], KEPT_OF_MODEL)
    return kind, schema


def keep(properties, names):
    """Leave out all properties but some."""
    for name in set(properties) - set(names):
        del properties[name]


if __name__ == "__main__":
    kind, schema = taken(yaml.safe_load(Path(sys.argv[1]).read_text()), sys.argv[2])
    Path(__file__).with_name(f"{kind}.json").write_text(json.dumps(schema, separators=(",", ":")) + "\n")
