"""What Helm renders, against the schemas of the oldest and the newest release, and of custom resources."""

import json
from pathlib import Path

import pytest
import yaml
from helm_chart import KUBERNETES, NEWEST, OLDEST, render
from manifest_schemas import CUSTOM, mistakes
from value_sets import OF_NEW_CLUSTERS, VALUE_SETS

KSERVE = KUBERNETES / "kserve"


def distinct(value_sets, release):
    """The manifests of all sets of values, each once."""
    rendered = (each for values in value_sets for each in render(values, kubernetes=release))
    return {json.dumps(each, sort_keys=True): each for each in rendered}.values()


@pytest.mark.parametrize(
    ("release", "value_sets"),
    [
        pytest.param(OLDEST, VALUE_SETS, id="oldest"),
        pytest.param(NEWEST, {**VALUE_SETS, **OF_NEW_CLUSTERS}, id="newest"),
    ],
)
def test_every_manifest_keeps_to_the_schemas(release, value_sets):
    manifests = distinct(value_sets.values(), release)
    assert [mistake for each in manifests for mistake in mistakes(each, release)] == []
    assert {each["kind"] for each in manifests} >= CUSTOM - {"ServingRuntime", "InferenceService"}


@pytest.mark.parametrize(
    ("kind", "values", "wrong"),
    [
        ("Deployment", {}, lambda each: each["spec"]["template"]["spec"].update(terminationGracePeriod=60)),
        ("Service", {}, lambda each: each["spec"]["ports"][0].update(port="8001")),
        ("ScaledObject", VALUE_SETS["scaled by keda"], lambda each: each["spec"]["fallback"].pop("replicas")),
        ("ScaledObject", VALUE_SETS["scaled by keda"], lambda each: each["spec"].update(minReplicas=2)),
        ("HTTPRoute", VALUE_SETS["routes"], lambda each: each["spec"]["rules"][0].update(backends=[])),
        ("ServiceMonitor", VALUE_SETS["monitored"], lambda each: each["spec"].pop("selector")),
        ("PrometheusRule", VALUE_SETS["monitored"], lambda each: each["spec"]["groups"][0].pop("name")),
    ],
)
def test_a_mistake_is_seen(kind, values, wrong):
    manifest = next(each for each in render(values) if each["kind"] == kind)
    assert mistakes(manifest, NEWEST) == []
    wrong(manifest)
    assert mistakes(manifest, NEWEST)


def test_a_kind_that_a_release_does_not_have_is_seen():
    with pytest.raises(FileNotFoundError):
        mistakes({"apiVersion": "autoscaling/v2beta2", "kind": "HorizontalPodAutoscaler"}, OLDEST)


@pytest.mark.parametrize("file", sorted(KSERVE.glob("*.yml")), ids=lambda file: file.name)
def test_the_files_for_kserve_keep_to_its_schemas(file):
    assert mistakes(yaml.safe_load(file.read_text()), NEWEST) == []


def test_the_containers_for_kserve_are_those_of_a_pod():
    """The schema of KServe is less strict in them than Kubernetes is."""
    spec = yaml.safe_load((KSERVE / "runtime.yml").read_text())["spec"]
    pod = {"containers": spec["containers"], "volumes": spec["volumes"]}
    assert mistakes({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": pod}, NEWEST) == []


def test_the_schemas_are_small():
    assert sum(file.stat().st_size for file in Path(__file__).parent.joinpath("crds").iterdir()) < 100_000
