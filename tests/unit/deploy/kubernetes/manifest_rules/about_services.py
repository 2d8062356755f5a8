"""What must fit together where requests travel: selectors, ports, policies, routes, and who is allowed to go."""

from helm_chart import of_kind

from .parts import argument, has, main_container, pod_templates, pods, selected, selects
from .rule import rule


def selectors(manifests):
    """Every selector of pods: (whose, labels)."""
    for each in manifests:
        spec = each.get("spec", {})
        whose = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] == "Service":
            yield whose, spec["selector"]
        if each["kind"] in ("Deployment", "PodDisruptionBudget"):
            yield whose, spec["selector"]["matchLabels"]
        if each["kind"] == "NetworkPolicy":
            yield whose, spec["podSelector"]["matchLabels"]


@rule(breaks=lambda all_: of_kind(all_, "Service")[0]["spec"]["selector"].update(tier="web"))
def selectors_find_the_pods_of_one_part(manifests):
    for whose, selector in selectors(manifests):
        if len(selected(manifests, selector)) != 1:
            yield f"{whose} selects {len(selected(manifests, selector))} kinds of pods by {selector}"


@rule(breaks=lambda all_: of_kind(all_, "Service")[0]["spec"]["ports"][0].update(targetPort="web"))
def ports_of_services_are_those_of_containers(manifests):
    for service in of_kind(manifests, "Service"):
        for pod in selected(manifests, service["spec"]["selector"]):
            names = {port["name"] for each in pod["spec"]["containers"] for port in each["ports"]}
            for port in service["spec"]["ports"]:
                if port["targetPort"] not in names:
                    yield f"{service['metadata']['name']} leads to a port {port['targetPort']}"


@rule(breaks=lambda all_: of_kind(all_, "Service")[0]["metadata"].update(name="a" * 64))
def names_are_names_of_dns(manifests):
    for each in of_kind(manifests, "Service", "Deployment"):
        if len(each["metadata"]["name"]) > 63:
            yield f"{each['kind']} {each['metadata']['name']}"


def named(manifests, name):
    """The Services of a name: one, or none."""
    return [each for each in of_kind(manifests, "Service") if each["metadata"]["name"] == name]


@rule(breaks=lambda all_: main_container(all_, "gateway")["args"].__setitem__(0, "--url=encserve-server:8001"))
def gateways_ask_each_server(manifests):
    """By a name that stands for all pods: behind one address a connection stays with the pod that it met first."""
    if not has(manifests, "gateway"):
        return
    url = argument(main_container(manifests, "gateway"), "--url")
    host, _, port = url.removeprefix("dns:///").partition(":")
    services = named(manifests, host)
    if not url.startswith("dns:///") or not services or services[0]["spec"].get("clusterIP") != "None":
        yield f"gateways ask {url}"
    elif int(port) not in {each["port"] for each in services[0]["spec"]["ports"]}:
        yield f"{host} has no port {port}"


@rule(breaks=lambda all_: named(all_, "encserve-server-replicas")[0]["spec"].update(publishNotReadyAddresses=True))
def who_is_not_ready_is_not_found(manifests):
    for service in of_kind(manifests, "Service"):
        if service["spec"].get("publishNotReadyAddresses"):
            yield f"{service['metadata']['name']} has pods that are not ready"


@rule(breaks=lambda all_: main_container(all_, "gateway")["args"].__setitem__(2, "--model=other"))
def gateways_offer_what_servers_serve(manifests):
    models = {
        name: [each for each in pod["containers"][0]["args"] if each.startswith("--model=")]
        for name, pod in pods(manifests).items()
    }
    if any(models[name] != models["encserve-server"] for name in models):
        yield f"the pipelines are {models}"


@rule(breaks=lambda all_: of_kind(all_, "PodDisruptionBudget")[0]["spec"].update(maxUnavailable=0))
def a_node_can_be_drained(manifests):
    budgets = of_kind(manifests, "PodDisruptionBudget")
    for each in budgets:
        spec = each["spec"]
        if "minAvailable" in spec or spec.get("maxUnavailable", 0) < 1:
            yield f"{each['metadata']['name']} keeps a node from being drained"
        if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{each['metadata']['name']} keeps pods that do not work"
    if len(budgets) != len(pod_templates(manifests)):
        yield "a part has no disruption budget"


@rule(breaks=lambda all_: of_kind(all_, "Deployment")[0]["spec"]["strategy"]["rollingUpdate"].update(maxSurge=0))
def a_rollout_can_begin(manifests):
    for each in of_kind(manifests, "Deployment"):
        rolling = each["spec"]["strategy"]["rollingUpdate"]
        if sorted(rolling.values()) != [0, 1]:
            yield f"{each['metadata']['name']} rolls out by {rolling}"


@rule(breaks=lambda all_: of_kind(all_, "Deployment")[1]["spec"].update(progressDeadlineSeconds=600))
def a_rollout_waits_for_a_start(manifests):
    needed = int(argument(main_container(manifests, "server"), "--startup-timeout-s"))
    for each in of_kind(manifests, "Deployment"):
        if each["spec"]["progressDeadlineSeconds"] <= needed:
            yield f"{each['metadata']['name']} counts as failed after {each['spec']['progressDeadlineSeconds']} s"


def policy(manifests, part):
    """The NetworkPolicy of a part; None where there are no policies."""
    return next(
        (each["spec"] for each in of_kind(manifests, "NetworkPolicy") if each["metadata"]["name"].endswith(part)), None
    )


def lets_through(rules, direction, labels, port):
    """Whether any of the rules lets through what goes to or comes from pods with these labels, at this port."""
    return any(
        port in {each["port"] for each in rule.get("ports", ())}
        and any(selects(peer.get("podSelector", {}).get("matchLabels", {"": ""}), labels) for peer in rule[direction])
        for rule in rules
        if direction in rule
    )


@rule(breaks=lambda all_: policy(all_, "server")["ingress"].pop(0))
def policies_let_gateways_ask_servers(manifests):
    if policy(manifests, "server") is None or not has(manifests, "gateway"):
        return
    labels = {name: template["metadata"]["labels"] for name, template in pod_templates(manifests).items()}
    if not lets_through(policy(manifests, "server")["ingress"], "from", labels["encserve-gateway"], "grpc"):
        yield "servers do not let gateways in"
    if not lets_through(policy(manifests, "gateway")["egress"], "to", labels["encserve-server"], "grpc"):
        yield "gateways may not go out to servers"


@rule(breaks=lambda all_: policy(all_, "gateway")["egress"].pop(1))
def policies_let_gateways_ask_dns(manifests):
    spec = policy(manifests, "gateway")
    rules = (spec or {}).get("egress", ())
    ports = {(each["port"], each.get("protocol")) for rule_ in rules for each in rule_.get("ports", ())}
    if spec is not None and not ports >= {(53, "UDP"), (53, "TCP")}:
        yield "gateways cannot look the servers up"


@rule(of="shared rows", breaks=lambda all_: policy(all_, "server")["egress"].pop())
def policies_let_servers_ask_their_cache_and_collector_alone(manifests):
    spec = policy(manifests, "server")
    if spec is None:
        return
    names = {each["name"] for each in main_container(manifests, "server").get("env", ())}
    peers = [peer for rule_ in spec["egress"] for peer in rule_.get("to", ())]
    asked = names & {"ENCSERVE_SHARED_ROWS_URL", "ENCSERVE_OTLP"}
    if bool(peers) != bool(asked):
        yield f"servers may ask {peers}, and have {'a' if asked else 'no'} cache or collector"


@rule(breaks=lambda all_: policy(all_, "server")["ingress"][0]["ports"].append({"port": "metrics"}))
def metrics_are_shown_to_prometheus_alone(manifests):
    for rule_ in (policy(manifests, "server") or {}).get("ingress", ()):
        peers = [list(peer) for peer in rule_.get("from", ())]
        if {"port": "metrics"} in rule_["ports"] and peers != [["namespaceSelector"]]:
            yield f"the metrics are shown to {rule_.get('from')}"


@rule(breaks=lambda all_: policy(all_, "server")["ingress"].append({"ports": [{"port": "grpc"}]}))
def servers_are_open_to_nobody_else(manifests):
    """A rule without `from` is for everyone, and a selector of nothing is all namespaces."""
    for rule_ in (policy(manifests, "server") or {}).get("ingress", ()):
        if not rule_.get("from") or {"namespaceSelector": {}} in rule_["from"]:
            yield f"everyone may reach {rule_['ports']}"


@rule(
    of="a canary",
    breaks=lambda all_: of_kind(all_, "HTTPRoute")[0]["spec"]["rules"][0]["backendRefs"][0].update(weight=10),
)
def weights_are_percents(manifests):
    for route in of_kind(manifests, "HTTPRoute", "GRPCRoute"):
        for rule_ in route["spec"]["rules"]:
            if sum(each["weight"] for each in rule_["backendRefs"]) != 100:
                yield f"{route['metadata']['name']} shares by {rule_['backendRefs']}"


@rule(
    of="routes",
    breaks=lambda all_: of_kind(all_, "GRPCRoute")[0]["spec"]["rules"][0]["backendRefs"][0].update(port=8002),
)
def routes_lead_to_services(manifests):
    for route in of_kind(manifests, "HTTPRoute", "GRPCRoute"):
        own = route["spec"]["rules"][0]["backendRefs"][0]
        ports = {
            each["port"]: each.get("appProtocol")
            for service in named(manifests, own["name"])
            for each in service["spec"]["ports"]
        }
        wanted = "kubernetes.io/h2c" if route["kind"] == "GRPCRoute" else "http"
        if ports.get(own["port"]) != wanted:
            yield f"{route['kind']} leads to {own}, and the Services have {ports}"


@rule(
    of="routes",
    breaks=lambda all_: of_kind(all_, "GRPCRoute")[0]["spec"].update(hostnames=["texts.example.org"]),
)
def routes_share_no_host_name(manifests):
    """Of an HTTPRoute and a GRPCRoute that do, a Gateway accepts the older one."""
    names = [set(each["spec"].get("hostnames", ())) for each in of_kind(manifests, "HTTPRoute", "GRPCRoute")]
    if len(names) > 1 and (not all(names) or set.intersection(*names)):
        yield f"the routes are for {names}"
