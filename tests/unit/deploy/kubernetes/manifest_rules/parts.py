"""The parts of manifests that rules look at."""

from helm_chart import of_kind


def pod_templates(manifests):
    """The Deployments' pods: name -> metadata and spec."""
    return {each["metadata"]["name"]: each["spec"]["template"] for each in of_kind(manifests, "Deployment")}


def pods(manifests):
    """The specs of pods by the name of their Deployment."""
    return {name: template["spec"] for name, template in pod_templates(manifests).items()}


def containers(manifests):
    """Every container, the initial ones too: (pod's name, container)."""
    for name, pod in pods(manifests).items():
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            yield name, container


def main_container(manifests, part):
    """The container of a part, as "server"."""
    (pod,) = (pod for name, pod in pods(manifests).items() if name.endswith(f"-{part}"))
    return pod["containers"][0]


def has(manifests, part):
    """Whether a part is there."""
    return any(name.endswith(f"-{part}") for name in pods(manifests))


def argument(container, flag):
    """The value of a flag of the container's command; None where it is not there."""
    return next((each.partition("=")[2] for each in container["args"] if each.startswith(f"{flag}=")), None)


def probes(manifests):
    """Every probe: (pod's name, kind, probe, container)."""
    for name, container in containers(manifests):
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if kind in container:
                yield name, kind, container[kind], container


def selects(selector, labels):
    """Whether a selector by labels is met."""
    return selector.items() <= labels.items()


def selected(manifests, selector):
    """The pod templates that a selector is met by."""
    return [each for each in pod_templates(manifests).values() if selects(selector, each["metadata"]["labels"])]


def mebibytes(quantity):
    """The number of MiB of a quantity such as "8Gi"."""
    units = {"Mi": 1, "Gi": 1024, "Ti": 1024**2}
    return int(quantity[:-2]) * units[quantity[-2:]]
