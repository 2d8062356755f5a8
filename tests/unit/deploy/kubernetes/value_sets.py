"""Values that installations have, by what is particular to each. All are rendered, and held to every rule."""

import json

MONITORED = {"enabled": True, "labels": {"release": "prometheus"}, "gatewayKey": {"name": "encserve-prometheus"}}
EDGE = [{"name": "edge", "namespace": "gateways"}]
GATEWAYS = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}]
COLLECTOR = [{"podSelector": {"matchLabels": {"app": "collector"}}}]
CACHE = [{"podSelector": {"matchLabels": {"app": "valkey"}}}]
OPEN = {"network": {"enabled": False}}
SHARED = {"enabled": True, "hostnames": ["texts.example.org"]}


def certificate(architecture):
    """A manifest.json as that of a plan, as far as the chart reads it; of another engine without an architecture."""
    plan = {"plan": {"gpu": "NVIDIA L4", "gpu_architecture": architecture}} if architecture else {}
    return json.dumps({"name": "minilm", "version": 1, "files": {}, **plan})


VALUE_SETS = {
    "default": {},
    "one replica of each": {"server": {"replicas": 1}, "gateway": {"replicas": 1}},
    "several pipelines": {"models": {"serve": ["minilm", "ranker"]}},
    "gpu": {"server": {"pool": "gpu", "gpu": {"count": 1, "product": "NVIDIA-L4"}}},
    "scarce gpus": {"server": {"pool": "gpu", "surge": False, "gpu": {"runtimeClass": "nvidia"}}},
    "a plan": {
        "server": {"pool": "gpu"},
        "models": {"certificates": {"minilm": certificate("sm_89")}},
    },
    "a claim": {"models": {"source": "claim", "claim": "models"}},
    "images by digest": {
        "models": {"image": {"digest": f"sha256:{'a' * 64}"}},
        "server": {"image": {"digest": f"sha256:{'b' * 64}"}},
    },
    "no gateway": {"gateway": {"enabled": False}},
    "a gateway for everyone": {
        "gateway": {"keysSecret": "", "allowAnonymous": True, "options": ["--max-texts=64"]},
        "network": {"gatewayTargets": COLLECTOR},
    },
    "secrets and settings": {
        "server": {
            "adminSecret": {"name": "encserve-admin"},
            "settings": {"maxQueuedTexts": 4096, "latencyBucketsS": "0.05,0.1,1"},
        },
        "imagePullSecrets": ["registry"],
    },
    "shared rows": {
        "server": {"sharedRows": {"secret": "encserve-rows", "budgetMs": 2.5, "ttlS": 3600}},
        "network": {"serverTargets": CACHE},
    },
    "traces": {
        "server": {
            "traces": {
                "otlp": "http://collector:4318",
                "share": 0.05,
                "requestIds": True,
                "serviceName": "texts",
                "headersSecret": "collector",
            }
        },
        "gateway": {"traces": {"otlp": "http://collector:4318", "requestIds": True, "headersSecret": "collector"}},
        "network": {"serverTargets": COLLECTOR, "gatewayTargets": COLLECTOR},
    },
    "sampled texts": {
        "models": {"serve": ["minilm", "pii"]},
        "gateway": {"sampledLog": {"enabled": True, "mib": 100, "days": 30, "scrubModel": "pii"}},
    },
    "monitored": {"monitoring": MONITORED},
    "servers alone are monitored": {"monitoring": {"enabled": True}},
    "the rules are those of another release": {"monitoring": MONITORED | {"rules": False}},
    "monitored without keys": {
        "monitoring": {"enabled": True},
        "gateway": {"keysSecret": "", "allowAnonymous": True},
    },
    "scaled by keda": {"monitoring": MONITORED, "autoscaling": {"kind": "keda"}},
    "scaled by hpa": {"monitoring": MONITORED, "autoscaling": {"kind": "hpa", "maxReplicas": 3}},
    "routes": {
        "route": {
            "http": {"enabled": True, "hostnames": ["texts.example.org"]},
            "grpc": {"enabled": True, "hostnames": ["grpc.example.org"]},
            "parentRefs": EDGE,
        },
        "network": {"serverCallers": GATEWAYS, "gatewayCallers": GATEWAYS},
    },
    "a canary": {
        "route": {"http": {"enabled": True}, "parentRefs": EDGE, "canary": {"release": "next", "weight": 10}},
        "network": {"gatewayCallers": GATEWAYS},
    },
    "no policies": {"network": {"enabled": False}},
}
OF_NEW_CLUSTERS = {"an image volume": {"models": {"source": "volume"}}}
"""What the oldest release of Kubernetes does not have."""

UNCOLLECTED = ".share need server.traces.otlp: without a collector there are no traces"

REFUSED = [
    ({"server": {"replicas": 0}}, "/server/replicas"),
    ({"server": {"cores": 0.5}}, "/server/cores"),
    ({"server": {"cpus": 4}}, "'cpus' not allowed"),
    ({"server": {"pool": "tpu"}}, "/server/pool"),
    ({"server": {"image": {"tag": "latest"}}}, "/server/image/tag"),
    ({"server": {"memory": "8G"}}, "/server/memory"),
    (
        {"server": {"memory": "2Gi", "sharedMemory": "1025Mi"}},
        "more than half of server.memory, 2Gi, which it is part of",
    ),
    ({"server": {"settings": {"latencyBucketsS": "fast"}}}, "/server/settings/latencyBucketsS"),
    ({"server": {"settings": {"maxQueuedTexts": 0}}}, "/server/settings/maxQueuedTexts"),
    ({"server": {"settings": {"recentRowsMib": -1}}}, "/server/settings/recentRowsMib"),
    ({"server": {"settings": {"intraOpThreads": 1.5}}}, "/server/settings/intraOpThreads"),
    ({"server": {"sharedRows": {"secret": "rows"}}}, "server.sharedRows needs network.serverTargets"),
    ({"server": {"sharedRows": {"url": "redis://cache"}}}, "'url' not allowed"),
    ({"server": {"traces": {"otlp": "http://collector:4318"}}}, "server.traces needs network.serverTargets"),
    ({"server": {"traces": {"otlp": "collector:4318"}}}, "/server/traces/otlp"),
    ({"server": {"traces": {"share": 2}}}, "/server/traces/share"),
    ({"server": {"traces": {"share": "5"}}}, "/server/traces/share"),
    ({"server": {"traces": {"share": "1.2.3"}}}, "/server/traces/share"),
    ({"server": {"traces": {"share": 0.5}}}, UNCOLLECTED),
    ({"server": {"traces": {"requestIds": True}}}, UNCOLLECTED),
    ({"server": {"traces": {"serviceName": "texts"}}}, UNCOLLECTED),
    ({"server": {"traces": {"headersSecret": "collector"}}}, UNCOLLECTED),
    ({"server": {"traces": {"headersSecret": "A b"}}}, "/server/traces/headersSecret"),
    ({"server": {"sharedRows": {"budgetMs": 0}}}, "/server/sharedRows/budgetMs"),
    ({"models": {"serve": []}}, "/models/serve"),
    ({"models": {"source": "nfs"}}, "/models/source"),
    ({"models": {"source": "claim"}}, "models.claim must name a PersistentVolumeClaim"),
    ({"models": {"certificates": {"other": certificate("")}}}, "models.serve does not: minilm"),
    ({"models": {"certificates": {"minilm": "{"}}}, "models.certificates.minilm is no manifest.json"),
    ({"models": {"certificates": {"minilm": certificate("sm_90")}}}, "a plan for a GPU of sm_90"),
    ({"gateway": {"keysSecret": ""}}, "who may ask the gateway?"),
    ({"gateway": {"allowAnonymous": True}}, "exclude each other"),
    ({"gateway": {"traces": {"otlp": "http://collector:4318"}}}, "gateway.traces needs network.gatewayTargets"),
    ({"gateway": {"traces": {"otlp": "collector"}}}, "/gateway/traces/otlp"),
    ({"gateway": {"traces": {"share": 0.1}}}, "'share' not allowed"),
    ({"gateway": {"traces": {"requestIds": True}}}, "gateway.traces.headersSecret need gateway.traces.otlp"),
    ({"gateway": {"traces": {"headersSecret": "collector"}}}, "gateway.traces.headersSecret need gateway.traces.otlp"),
    (
        {"gateway": {"sampledLog": {"enabled": True, "scrubModel": "pii"}}},
        "gateway.sampledLog.scrubModel is pii, which models.serve does not have: minilm",
    ),
    (
        {"gateway": {"keysSecret": "", "allowAnonymous": True, "sampledLog": {"enabled": True}}},
        "gateway.sampledLog needs gateway.keysSecret",
    ),
    ({"gateway": {"sampledLog": {"mib": 0}}}, "/gateway/sampledLog/mib"),
    ({"gateway": {"sampledLog": {"days": 0}}}, "/gateway/sampledLog/days"),
    ({"gateway": {"sampledLog": {"scrubModel": "a b"}}}, "/gateway/sampledLog/scrubModel"),
    ({"monitoring": {"enabled": True, "interval": "1m"}}, "/monitoring/interval"),
    ({"autoscaling": {"kind": "keda"}}, "monitoring.enabled"),
    (
        {"monitoring": MONITORED, "autoscaling": {"kind": "hpa", "minReplicas": 9}},
        "autoscaling.minReplicas is 9, which is above autoscaling.maxReplicas, 8",
    ),
    (
        {"monitoring": MONITORED, "autoscaling": {"kind": "keda", "fallbackReplicas": 9}},
        "autoscaling.fallbackReplicas is 9, which is above autoscaling.maxReplicas, 8",
    ),
    ({"route": {"http": {"enabled": True}}}, "route.parentRefs"),
    ({"route": {"http": {"enabled": True}}, "gateway": {"enabled": False}}, "gateway.enabled is false"),
    ({"route": {"http": {"enabled": True}, "parentRefs": EDGE}}, "network.gatewayCallers"),
    ({"route": {"grpc": {"enabled": True}, "parentRefs": EDGE}}, "network.serverCallers"),
    (
        {"route": {"http": {"enabled": True}, "grpc": {"enabled": True}, "parentRefs": EDGE}, **OPEN},
        "need hostnames of their own",
    ),
    (
        {"route": {"http": SHARED, "grpc": SHARED, "parentRefs": EDGE}, **OPEN},
        "share the host name texts.example.org",
    ),
    (
        {"route": {"http": {"enabled": True}, "parentRefs": EDGE, "canary": {"weight": 5}}, **OPEN},
        "route.canary.release",
    ),
    (
        {"route": {"http": {"enabled": True}, "parentRefs": EDGE, "canary": {"release": "encserve"}}, **OPEN},
        "route.canary.release is encserve, the release that gives the share away",
    ),
]
"""Values that do not fit, and the words in which Helm refuses them."""
