"""The chart as Helm reads it: what it renders, what it refuses in which words, and the manifests that are committed."""

import argparse

import pytest
import yaml
from helm_chart import CHART, KUBERNETES, OLDEST, Refused, helm, of_kind, render, render_text, the
from value_sets import MONITORED, OF_NEW_CLUSTERS, REFUSED, VALUE_SETS, certificate

import encserve
from encserve_gateway import command as gateway
from encserve_server.steps.trace.settings import trace_settings


def test_helm_finds_nothing_to_complain_of():
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART)


def test_the_chart_has_the_version_of_the_package():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["apiVersion"] == "v2"
    assert chart["version"] == chart["appVersion"] == encserve.__version__


def test_the_committed_manifests_are_those_of_the_defaults(request):
    committed = KUBERNETES / "plain" / "encserve.yaml"
    rendered = render_text(VALUE_SETS["default"])
    if request.config.getoption("--update-golden"):
        committed.write_text(rendered)
    assert committed.read_text() == rendered
    assert yaml.safe_load((KUBERNETES / "plain" / "kustomization.yaml").read_text())["resources"] == ["encserve.yaml"]


def test_the_committed_canary_is_that_of_two_releases(request):
    """And what it leads to is there in both."""
    committed = KUBERNETES / "plain" / "canary.yaml"
    of_canary = {"canary": VALUE_SETS["a canary"]["route"]["canary"]}
    values = {**VALUE_SETS["routes"], "route": {**VALUE_SETS["routes"]["route"], **of_canary}}
    first = render(values)
    routes = of_kind(first, "HTTPRoute", "GRPCRoute")
    if request.config.getoption("--update-golden"):
        committed.write_text(yaml.safe_dump_all(routes, sort_keys=False))
    assert list(yaml.safe_load_all(committed.read_text())) == routes
    services = {
        each["metadata"]["name"]: {port["port"] for port in each["spec"]["ports"]}
        for each in of_kind([*first, *render(release="next")], "Service")
    }
    backends = [each for route in routes for rule in route["spec"]["rules"] for each in rule["backendRefs"]]
    assert [(each["name"], each["weight"]) for each in backends] == [
        *(("encserve-server", 90), ("next-server", 10)),
        *(("encserve-gateway", 90), ("next-gateway", 10)),
    ]
    assert all(each["port"] in services[each["name"]] for each in backends)


@pytest.mark.parametrize("values", {**VALUE_SETS, **OF_NEW_CLUSTERS}.values(), ids={**VALUE_SETS, **OF_NEW_CLUSTERS})
def test_values_are_rendered(values):
    names = [(each["kind"], each["metadata"]["name"]) for each in render(values)]
    assert len(names) == len(set(names)) >= 5


@pytest.mark.parametrize(("values", "words"), REFUSED)
def test_what_does_not_fit_is_refused_by_name(values, words):
    with pytest.raises(Refused) as refused:
        render(values)
    assert words in str(refused.value)


def test_large_numbers_are_written_out():
    """Helm reads numbers of a file as floats, and would write a million as 1e+06, which no step reads."""
    settings = {"maxQueuedTexts": 1_000_000, "recentRowsMib": 0.5, "intraOpThreads": 8, "latencyBucketsS": 2}
    scaled = {"monitoring": MONITORED, "autoscaling": {"kind": "hpa", "workSeconds": 3_600}}
    manifests = render({"server": {"settings": settings}, **scaled})
    (container,) = the(manifests, "Deployment", "encserve-server")["spec"]["template"]["spec"]["containers"]
    assert {each["name"]: each["value"] for each in container["env"]} == {
        "ENCSERVE_MAX_QUEUED_TEXTS": "1000000",
        "ENCSERVE_RECENT_ROWS_MIB": "0.5",
        "ENCSERVE_INTRA_OP_THREADS": "8",
        "ENCSERVE_LATENCY_BUCKETS_S": "2",
    }
    (scaler,) = of_kind(manifests, "HorizontalPodAutoscaler")
    assert scaler["spec"]["metrics"][0]["external"]["target"]["value"] == "3600000m"


@pytest.mark.parametrize("release", ["2026", "a.b"])
def test_a_release_that_could_not_name_a_service_is_refused(release):
    with pytest.raises(Refused, match=f"the release is called {release}: Services are named after it"):
        render(release=release)


def test_two_plans_for_two_gpus_are_two_releases():
    plans = {"minilm": certificate("sm_89"), "ranker": certificate("sm_90")}
    with pytest.raises(Refused, match=r"plans for sm_89, sm_90; one pool has one GPU architecture"):
        render({"server": {"pool": "gpu"}, "models": {"serve": ["minilm", "ranker"], "certificates": plans}})


def test_an_image_volume_wants_a_cluster_that_has_them():
    with pytest.raises(Refused, match=r"from 1\.35 on; this is v1\.30\.0: use image or claim"):
        render({"models": {"source": "volume"}}, kubernetes=OLDEST)


@pytest.mark.parametrize(
    ("architecture", "major", "minor"), [("sm_89", "8", "9"), ("sm_100", "10", "0"), ("sm_121", "12", "1")]
)
def test_a_plan_goes_where_its_gpu_is(architecture, major, minor):
    values = {"server": {"pool": "gpu"}, "models": {"certificates": {"minilm": certificate(architecture)}}}
    pod = the(render(values), "Deployment", "encserve-server")["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.compute.major": major, "nvidia.com/gpu.compute.minor": minor}


def test_a_pipeline_of_another_engine_goes_anywhere():
    values = {"models": {"certificates": {"minilm": certificate("")}}}
    assert "nodeSelector" not in the(render(values), "Deployment", "encserve-server")["spec"]["template"]["spec"]


def test_a_manifest_is_given_as_a_file(tmp_path):
    (tmp_path / "manifest.json").write_text(certificate("sm_89"))
    given = f"models.certificates.minilm={tmp_path / 'manifest.json'}"
    assert 'gpu.compute.major: "8"' in helm("template", "one", CHART, "--set=server.pool=gpu", "--set-file", given)


@pytest.mark.parametrize(
    ("of", "seen"),
    [
        ("monitored", ["encserve-gateway", "encserve-server"]),
        ("servers alone are monitored", ["encserve-server"]),
        ("monitored without keys", ["encserve-gateway", "encserve-server"]),
    ],
)
def test_gateways_are_monitored_where_prometheus_may_ask_them(of, seen):
    monitors = of_kind(render(VALUE_SETS[of]), "ServiceMonitor")
    assert sorted(each["metadata"]["name"] for each in monitors) == seen


def test_the_rules_of_prometheus_are_those_of_the_compose_file():
    (rule,) = of_kind(render({"monitoring": MONITORED}), "PrometheusRule")
    files = (KUBERNETES.parent / "monitoring" / f"{name}.yml" for name in ("alerts", "drift", "slo"))
    assert rule["spec"]["groups"] == [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]


def test_two_releases_have_the_rules_once():
    """Of one name, which Helm gives to one release alone, and none where they are told to be another's."""
    first, second = (of_kind(render({"monitoring": MONITORED}, release=each), "PrometheusRule") for each in ("a", "b"))
    assert [each["metadata"]["name"] for each in (*first, *second)] == ["encserve", "encserve"]
    apart = render(VALUE_SETS["the rules are those of another release"], release="b")
    assert not of_kind(apart, "PrometheusRule")
    assert len(of_kind(apart, "ServiceMonitor")) == 2


def test_servers_that_share_rows_have_the_address_and_the_secret():
    pod = the(render(VALUE_SETS["shared rows"]), "Deployment", "encserve-server")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {each["name"]: each.get("value") or each["valueFrom"]["secretKeyRef"] for each in container["env"]}
    assert environment == {
        "ENCSERVE_SHARED_ROWS_URL": {"name": "encserve-rows", "key": "url"},
        "ENCSERVE_SHARED_ROWS_SECRET_FILE": "/shared-rows/secret",
        "ENCSERVE_SHARED_ROWS_BUDGET_MS": "2.5",
        "ENCSERVE_SHARED_ROWS_TTL_S": "3600",
    }
    (mount,) = (each for each in container["volumeMounts"] if each["mountPath"] == "/shared-rows")
    (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
    assert volume["secret"] == {"secretName": "encserve-rows", "items": [{"key": "secret", "path": "secret"}]}


def test_servers_tell_a_collector_of_requests_and_which_pod_they_are():
    manifests = render(VALUE_SETS["traces"])
    (container,) = the(manifests, "Deployment", "encserve-server")["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment == {
        "ENCSERVE_OTLP": "http://collector:4318",
        "ENCSERVE_TRACE_SHARE": "0.05",
        "ENCSERVE_TRACE_REQUEST_IDS": "1",
        "OTEL_SERVICE_NAME": "texts",
        "OTEL_EXPORTER_OTLP_HEADERS": None,
        "POD_NAME": None,
        "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=$(POD_NAME)",
    }
    settings = trace_settings({name: value.replace("$(POD_NAME)", "a") for name, value in environment.items() if value})
    assert (settings.share, settings.request_ids, settings.resource["k8s.pod.name"]) == (0.05, True, "a")


@pytest.mark.parametrize(("share", "given"), [(None, None), ("", None), (0, "0"), ("0", "0"), (1, "1")])
def test_a_share_that_is_left_out_is_that_of_the_server(share, given):
    """`null` takes a value out of the chart's own."""
    traces = VALUE_SETS["traces"]
    server = {"traces": {**traces["server"]["traces"], "share": share}}
    manifests = render({**traces, "server": server})
    (container,) = the(manifests, "Deployment", "encserve-server")["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment.get("ENCSERVE_TRACE_SHARE") == given
    if given is None:
        assert render({"server": {"traces": {"share": share}}}), "and needs no collector"


def test_servers_and_gateways_send_a_collector_the_headers_of_a_secret():
    manifests = render(VALUE_SETS["traces"])
    for part in ("server", "gateway"):
        (container,) = the(manifests, "Deployment", f"encserve-{part}")["spec"]["template"]["spec"]["containers"]
        (headers,) = (each for each in container["env"] if each["name"] == "OTEL_EXPORTER_OTLP_HEADERS")
        assert headers["valueFrom"] == {"secretKeyRef": {"name": "collector", "key": "headers"}}


def gateway_of(values):
    """What `encserve gateway` makes of the arguments of its container."""
    (container,) = the(render(values), "Deployment", "encserve-gateway")["spec"]["template"]["spec"]["containers"]
    parser = argparse.ArgumentParser()
    gateway.add_arguments(parser)
    return gateway.gateway_of(parser.parse_args(container["args"]))


def test_gateways_tell_the_collector_of_requests():
    config = gateway_of(VALUE_SETS["traces"])
    assert (config.otlp, config.trace_request_ids) == ("http://collector:4318", True)


def test_gateways_keep_the_texts_of_keys_that_ask_for_it():
    samples = gateway_of(VALUE_SETS["sampled texts"]).samples
    assert (str(samples.folder), samples.max_bytes, samples.days) == ("/samples/texts", 100 << 20, 30)
    assert samples.scrub_model == "pii"


def test_no_gateway_traces_or_keeps_texts_until_somebody_says_so():
    config = gateway_of(VALUE_SETS["default"])
    assert (config.otlp, config.trace_request_ids, config.samples) == ("", False, None)


def test_no_server_traces_until_somebody_says_where_to():
    assert "ENCSERVE_OTLP" not in render_text(VALUE_SETS["default"])
