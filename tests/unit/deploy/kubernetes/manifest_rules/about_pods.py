"""What every pod must be: closed, reproducible, within its limits, and able to go without losing a request."""

from helm_chart import of_kind

from .parts import argument, containers, has, main_container, mebibytes, pods, probes
from .rule import rule

SECRET_WORDS = ("SECRET", "KEY", "TOKEN", "PASSWORD")


@rule(breaks=lambda all_: main_container(all_, "server")["securityContext"].update(allowPrivilegeEscalation=True))
def pods_pass_the_restricted_profile(manifests):
    for name, pod in pods(manifests).items():
        context = pod["securityContext"]
        if not context.get("runAsNonRoot") or context.get("runAsUser") == 0:
            yield f"{name} may run as root"
        if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name} has no seccomp profile"
        if pod.get("hostNetwork") or pod.get("hostPID") or pod.get("hostIPC"):
            yield f"{name} shares a namespace of its host"
    for name, container in containers(manifests):
        context = container["securityContext"]
        if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
            yield f"{name}/{container['name']} may get privileges"
        if context.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{name}/{container['name']} has capabilities"


@rule(breaks=lambda all_: main_container(all_, "gateway")["securityContext"].pop("readOnlyRootFilesystem"))
def file_systems_are_read_only(manifests):
    for name, container in containers(manifests):
        if container["securityContext"].get("readOnlyRootFilesystem") is not True:
            yield f"{name}/{container['name']} can change its own image"


@rule(breaks=lambda all_: pods(all_)["encserve-server"].pop("automountServiceAccountToken"))
def pods_have_no_token_of_the_cluster(manifests):
    for name, pod in pods(manifests).items():
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{name} could ask the API server"


@rule(breaks=lambda all_: pods(all_)["encserve-server"].pop("enableServiceLinks"))
def services_put_no_variables_into_pods(manifests):
    """A Service encserve-server would be ENCSERVE_SERVER_PORT in every pod, beside our own variables."""
    for name, pod in pods(manifests).items():
        if pod.get("enableServiceLinks") is not False:
            yield f"{name} gets variables of Services"


@rule(breaks=lambda all_: main_container(all_, "server").update(image="encserve-triton"))
def images_have_a_version(manifests):
    for name, container in containers(manifests):
        image = container["image"]
        if "@sha256:" not in image and (":" not in image.rpartition("/")[2] or image.endswith(":latest")):
            yield f"{name} runs {image}, which may be another tomorrow"


@rule(breaks=lambda all_: main_container(all_, "server")["resources"]["requests"].update(memory="16Gi"))
def requests_are_limits(manifests):
    """So the pod is of the class Guaranteed, and its threads, which count the limit, find the cores free."""
    for name, container in containers(manifests):
        resources = container["resources"]
        for what in ("cpu", "memory"):
            if resources["requests"].get(what) != resources["limits"].get(what):
                yield f"{name}/{container['name']} asks for other {what} than it may have"


@rule(breaks=lambda all_: main_container(all_, "server")["resources"]["limits"].update(cpu="1500m"))
def cores_are_whole(manifests):
    for name, container in containers(manifests):
        if not isinstance(container["resources"]["limits"].get("cpu"), int):
            yield f"{name}/{container['name']} has a part of a core, which is taken away in the middle of a request"


@rule(
    of="gpu",
    breaks=lambda all_: pods(all_)["encserve-server"].update(tolerations=[]),
)
def who_wants_a_gpu_may_go_where_one_is(manifests):
    for name, pod in pods(manifests).items():
        wants = any("nvidia.com/gpu" in each["resources"]["limits"] for each in pod["containers"])
        tolerates = any(each.get("key") == "nvidia.com/gpu" for each in pod.get("tolerations", ()))
        placed = any(label.startswith("nvidia.com/") for label in pod.get("nodeSelector", ()))
        if wants != tolerates or (placed and not wants):
            yield f"{name} wants a GPU: {wants}; it may go where GPUs are: {tolerates}"


@rule(breaks=lambda all_: pods(all_)["encserve-server"]["volumes"][-1]["emptyDir"].update(sizeLimit="8Gi"))
def memory_holds_the_volumes_in_it(manifests):
    """A volume in memory counts as memory of who writes to it; half is the least that must be left."""
    for name, pod in pods(manifests).items():
        volumes = (each["emptyDir"] for each in pod["volumes"] if "emptyDir" in each)
        in_memory = sum(mebibytes(each["sizeLimit"]) for each in volumes if each.get("medium") == "Memory")
        memory = mebibytes(pod["containers"][0]["resources"]["limits"]["memory"])
        if in_memory * 2 > memory:
            yield f"{name} has {in_memory} MiB of volumes in {memory} MiB of memory"


def volume_of(all_, part, path):
    """The volume in which a path of a part's container lies; None where it lies in the container itself."""
    mounts = {each["mountPath"]: each["name"] for each in main_container(all_, part)["volumeMounts"]}
    name = next((mounts[folder] for folder in mounts if f"{path}/".startswith(f"{folder}/")), None)
    (pod,) = (pod for of, pod in pods(all_).items() if of.endswith(f"-{part}"))
    return next((each for each in pod["volumes"] if each["name"] == name), None)


@rule(
    of="sampled texts",
    breaks=lambda all_: volume_of(all_, "gateway", "/samples")["emptyDir"].update(sizeLimit="64Mi"),
)
def sampled_texts_fit_into_their_volume(manifests):
    """A pod whose volume is larger than it may be is ended, and the gateway with it."""
    if not has(manifests, "gateway"):
        return
    gateway = main_container(manifests, "gateway")
    if folder := argument(gateway, "--sampled-log"):
        volume = volume_of(manifests, "gateway", folder) or {}
        room = mebibytes(volume.get("emptyDir", {}).get("sizeLimit", "0Mi"))
        if room <= int(argument(gateway, "--sampled-log-mib")):
            yield f"the gateway keeps texts in {folder}, where there are {room} MiB"


@rule(breaks=lambda all_: main_container(all_, "server")["volumeMounts"][0].pop("readOnly"))
def servers_cannot_write_models(manifests):
    (models,) = (each for each in main_container(manifests, "server")["volumeMounts"] if each["mountPath"] == "/models")
    if models.get("readOnly") is not True:
        yield "a server could change what all others serve"


@rule(
    of="secrets and settings",
    breaks=lambda all_: main_container(all_, "server")["env"].append({"name": "ENCSERVE_API_KEY", "value": "abc"}),
)
def secrets_are_in_no_manifest(manifests):
    for name, container in containers(manifests):
        for variable in container.get("env", ()):
            name_of_file = variable["name"].endswith("_FILE")
            if "value" in variable and not name_of_file and any(word in variable["name"] for word in SECRET_WORDS):
                yield f"{name} states {variable['name']}"
    yield from (f"a Secret {each['metadata']['name']}" for each in of_kind(manifests, "Secret"))


@rule(breaks=lambda all_: main_container(all_, "gateway")["volumeMounts"][-1].update(subPath="keys.json"))
def keys_are_mounted_as_a_folder(manifests):
    for name, pod in pods(manifests).items():
        secrets = {each["name"] for each in pod["volumes"] if "secret" in each}
        for container in pod["containers"]:
            if any(each["name"] in secrets and "subPath" in each for each in container["volumeMounts"]):
                yield f"{name} would never see a key that was added or taken away"


@rule(breaks=lambda all_: pods(all_)["encserve-server"].update(terminationGracePeriodSeconds=40))
def a_pod_has_time_to_finish(manifests):
    for name, pod in pods(manifests).items():
        (container,) = pod["containers"]
        sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        finishing = int(argument(container, "--exit-timeout-s") or 30)
        if pod["terminationGracePeriodSeconds"] < sleep + finishing + 10:
            yield f"{name} is killed {pod['terminationGracePeriodSeconds']} s after it began to sleep {sleep} s"


@rule(breaks=lambda all_: main_container(all_, "server")["lifecycle"]["preStop"]["sleep"].update(seconds=1))
def a_pod_serves_until_all_have_forgotten_it(manifests):
    """It is taken out of the endpoints in the moment in which it is told to stop, and others hear of that later."""
    for name, pod in pods(manifests).items():
        if pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] < 5:
            yield f"{name} stops while requests are on their way to it"


@rule(breaks=lambda all_: pods(all_)["encserve-server"]["topologySpreadConstraints"].pop())
def replicas_are_spread_over_zones_and_hosts(manifests):
    for name, pod in pods(manifests).items():
        spread = {each["topologyKey"]: each["whenUnsatisfiable"] for each in pod["topologySpreadConstraints"]}
        if spread != dict.fromkeys(("topology.kubernetes.io/zone", "kubernetes.io/hostname"), "ScheduleAnyway"):
            yield f"{name} is spread as {spread}"


@rule(breaks=lambda all_: main_container(all_, "server")["readinessProbe"].update(timeoutSeconds=5))
def a_probe_ends_before_the_next(manifests):
    for name, kind, probe, _ in probes(manifests):
        if probe["timeoutSeconds"] >= probe["periodSeconds"]:
            yield f"{name} {kind} takes {probe['timeoutSeconds']} s of {probe['periodSeconds']} s"


@rule(breaks=lambda all_: main_container(all_, "server")["startupProbe"].update(failureThreshold=60))
def a_start_may_take_its_time(manifests):
    """Of a gateway that of the servers, which it waits for."""
    needed = float(argument(main_container(manifests, "server"), "--startup-timeout-s"))
    for name, kind, probe, _ in probes(manifests):
        given = probe["periodSeconds"] * probe["failureThreshold"]
        if kind == "startupProbe" and given <= needed:
            yield f"{name} has {given} s to start, and the launcher gives it {needed} s"


@rule(
    breaks=lambda all_: main_container(all_, "server").update(
        livenessProbe=main_container(all_, "server")["readinessProbe"]
    )
)
def what_is_busy_or_broken_below_is_not_killed(manifests):
    """Liveness does not ask whether pipelines answer: supervision starts again what does not."""
    for name, kind, probe, container in probes(manifests):
        asks = {key: probe[key] for key in ("exec", "httpGet") if key in probe}
        ready = {key: container["readinessProbe"].get(key) for key in asks}
        if kind == "livenessProbe" and name.endswith("-server") and asks == ready:
            yield f"{name} is killed where it is not ready"


@rule(breaks=lambda all_: main_container(all_, "server")["startupProbe"]["exec"]["command"].append("8000"))
def probes_ask_the_page_of_the_launcher(manifests):
    """The port that it was told, and no more than a shell: a Python for each probe takes a percent of a core."""
    server = main_container(manifests, "server")
    port = argument(server, "--health-port")
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        command = server[kind]["exec"]["command"]
        if command[:2] != ["bash", "-c"] or len(command) != 3 or f"/dev/tcp/127.0.0.1/{port}" not in command[2]:
            yield f"{kind} asks {command}"


@rule(breaks=lambda all_: main_container(all_, "gateway")["livenessProbe"]["httpGet"].update(port="web"))
def probes_ask_ports_that_are_there(manifests):
    for name, kind, probe, container in probes(manifests):
        names = {each["name"] for each in container["ports"]}
        if "httpGet" in probe and probe["httpGet"]["port"] not in names:
            yield f"{name} {kind} asks {probe['httpGet']['port']}"
