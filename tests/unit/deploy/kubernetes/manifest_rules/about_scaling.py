"""What monitors and autoscalers must be, with the traps that others have stepped into."""

from helm_chart import of_kind

from .parts import argument, has, main_container, selects
from .rule import rule


def triggers(manifests):
    """Every trigger of a ScaledObject."""
    return [each for scaler in of_kind(manifests, "ScaledObject") for each in scaler["spec"]["triggers"]]


def monitors(manifests):
    """Every ServiceMonitor."""
    return of_kind(manifests, "ServiceMonitor")


def scalers(manifests):
    """Every autoscaler: (manifest, name of its target, least replicas, most replicas, behavior)."""
    for each in of_kind(manifests, "HorizontalPodAutoscaler"):
        spec = each["spec"]
        yield each, spec["scaleTargetRef"]["name"], spec["minReplicas"], spec["maxReplicas"], spec["behavior"]
    for each in of_kind(manifests, "ScaledObject"):
        spec = each["spec"]
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        yield each, spec["scaleTargetRef"]["name"], spec["minReplicaCount"], spec["maxReplicaCount"], behavior


@rule(
    of="scaled by keda", breaks=lambda all_: of_kind(all_, "ScaledObject")[0]["spec"]["scaleTargetRef"].update(name="x")
)
def autoscalers_have_a_target(manifests):
    deployments = {each["metadata"]["name"] for each in of_kind(manifests, "Deployment")}
    for _, target, *_ in scalers(manifests):
        if target not in deployments:
            yield f"an autoscaler is for {target}"


@rule(of="scaled by hpa", breaks=lambda all_: of_kind(all_, "HorizontalPodAutoscaler")[0]["spec"].update(maxReplicas=1))
def autoscalers_have_room(manifests):
    for each, _, least, most, _ in scalers(manifests):
        if not 1 <= least < most:
            yield f"{each['metadata']['name']} scales from {least} to {most}"


@rule(of="scaled by keda", breaks=lambda all_: of_kind(all_, "Deployment")[1]["spec"].update(replicas=2))
def who_is_scaled_states_no_replicas(manifests):
    """Each upgrade of the release would set them back."""
    stated = {each["metadata"]["name"] for each in of_kind(manifests, "Deployment") if "replicas" in each["spec"]}
    yield from (f"{target} states its replicas" for _, target, *_ in scalers(manifests) if target in stated)


@rule(of="scaled by hpa", breaks=lambda all_: next(scalers(all_))[4]["scaleDown"].update(stabilizationWindowSeconds=0))
def a_fleet_shrinks_slowly(manifests):
    """The wait that it looks at is short as soon as there are enough replicas."""
    for each, *_, behavior in scalers(manifests):
        down = behavior["scaleDown"]
        if down["stabilizationWindowSeconds"] < 300 or any(policy["value"] > 25 for policy in down["policies"]):
            yield f"{each['metadata']['name']} shrinks by {down}"


@rule(of="scaled by keda", breaks=lambda all_: triggers(all_)[0]["metadata"].pop("ignoreNullValues"))
def no_series_is_not_no_work(manifests):
    """KEDA takes an empty answer for 0: a Prometheus that has lost the servers would stop them."""
    for each in triggers(manifests):
        if each["metadata"].get("ignoreNullValues") != "false":
            yield f"trigger {each['name']} takes an empty answer for 0"


@rule(of="scaled by keda", breaks=lambda all_: of_kind(all_, "ScaledObject")[0]["spec"].pop("fallback"))
def who_cannot_know_keeps_what_is_there(manifests):
    for each in of_kind(manifests, "ScaledObject"):
        fallback = each["spec"].get("fallback", {})
        if (
            fallback.get("behavior") != "currentReplicasIfHigher"
            or fallback["replicas"] < each["spec"]["minReplicaCount"]
        ):
            yield f"{each['metadata']['name']} falls back to {fallback}"


@rule(of="scaled by keda", breaks=lambda all_: triggers(all_)[1].update(metricType="AverageValue"))
def means_are_not_divided_again(manifests):
    for each in triggers(manifests):
        if each.get("metricType") != "Value":
            yield f"trigger {each['name']} is divided by the replicas"
    for each in of_kind(manifests, "HorizontalPodAutoscaler"):
        for metric in each["spec"]["metrics"]:
            if metric["external"]["target"]["type"] != "Value":
                yield f"{metric['external']['metric']['name']} is divided by the replicas"


@rule(
    of="scaled by keda",
    breaks=lambda all_: of_kind(all_, "ScaledObject")[0]["spec"]["triggers"].pop(),
)
def a_queue_is_not_looked_at_alone(manifests):
    """A door that refuses keeps it short."""
    names = [each["name"] for each in triggers(manifests)]
    if of_kind(manifests, "ScaledObject") and names != ["work", "refusals"]:
        yield f"a fleet is scaled by {names}"


@rule(
    of="scaled by keda", breaks=lambda all_: triggers(all_)[0]["metadata"].update(query="sum(encserve_waiting_tokens)")
)
def bulk_makes_no_replicas(manifests):
    """It fills any capacity."""
    for each in triggers(manifests):
        query = each["metadata"]["query"]
        if query.count("encserve_") != query.count('{lane="interactive",'):
            yield f"trigger {each['name']} asks of other lanes: {query}"


@rule(
    of="monitored",
    breaks=lambda all_: of_kind(all_, "Service")[1]["metadata"]["labels"].update({"encserve/metrics": "server"}),
)
def each_pod_is_scraped_once(manifests):
    """Two Services of the same pods would count all of it twice."""
    for monitor in monitors(manifests):
        selector = monitor["spec"]["selector"]["matchLabels"]
        services = [each for each in of_kind(manifests, "Service") if selects(selector, each["metadata"]["labels"])]
        ports = {port["name"] for each in services for port in each["spec"]["ports"]}
        if len(services) != 1 or not {each["port"] for each in monitor["spec"]["endpoints"]} <= ports:
            yield f"{monitor['metadata']['name']} sees {[each['metadata']['name'] for each in services]}"


@rule(of="monitored", breaks=lambda all_: monitors(all_)[0]["spec"]["endpoints"][0].pop("relabelings"))
def servers_are_the_job_that_the_rules_ask_for(manifests):
    for monitor in monitors(manifests):
        (endpoint,) = monitor["spec"]["endpoints"]
        jobs = [each["replacement"] for each in endpoint.get("relabelings", ()) if each["targetLabel"] == "job"]
        if (jobs == ["triton"]) != (endpoint["port"] == "metrics") or not jobs:
            yield f"{monitor['metadata']['name']} has the job {jobs}"


@rule(
    of="monitored",
    breaks=lambda all_: [each["spec"]["endpoints"][0].pop("authorization", None) for each in monitors(all_)],
)
def who_looks_at_gateways_has_a_key(manifests):
    """One that has keys shows its metrics to a key alone."""
    if not has(manifests, "gateway"):
        return
    keys = argument(main_container(manifests, "gateway"), "--keys")
    for monitor in monitors(manifests):
        (endpoint,) = monitor["spec"]["endpoints"]
        if ("authorization" in endpoint) != (endpoint["port"] == "http" and keys is not None):
            yield f"{monitor['metadata']['name']} asks port {endpoint['port']}, by {endpoint.get('authorization')}"


@rule(
    of="scaled by keda",
    breaks=lambda all_: triggers(all_)[0]["metadata"].update(
        query=triggers(all_)[0]["metadata"]["query"].replace("encserve-server", "other")
    ),
)
def queries_ask_of_this_release(manifests):
    monitored = {each["metadata"]["name"] for each in of_kind(manifests, "Service")}
    for each in triggers(manifests):
        query = each["metadata"]["query"]
        if query.count("encserve_") != sum(query.count(f'service="{name}"') for name in monitored):
            yield f"trigger {each['name']} asks of other Services: {query}"
