"""The counters of twenty minutes, and which of the shipped alerts a real promtool sees in them."""

from deploy_files import MONITORING
from promtool import tried


def series(name, per_minute, **labels):
    """A counter that grows for twenty minutes; of version 1 where it is of a model."""
    labels = {"version": "1", **labels} if "model" in labels else labels
    inside = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    return {"series": f"{name}{{{inside}}}", "values": f"0+{per_minute}x20"}


SUCCESS = "nv_inference_request_success"


FAILURE = "nv_inference_request_failure"


def answering(instance, up, *, job="triton"):
    """Whether a server answers Prometheus, minute by minute."""
    return {"series": f'up{{job="{job}", instance="{instance}"}}', "values": up}


def labels_of(alert, model, version):
    """Those of an alert for a model, or for none."""
    return {
        "NoServer": {},
        "ServerGone": {"instance": "one", "job": "triton"},
        "Restarting": {"instance": "one"},
        "WorkWaits": {"pipeline": model},
        "SlowAnswers": {"pipeline": model},
        "SlowFirstTokens": {"pipeline": model},
        "TextsWait": {"pipeline": model},
        "InternalErrors": {"model": model, "where": "network"},
        "Failures": {"model": model, "version": version},
    }.get(alert, {"model": model})


def check_alerts(tmp_path, counters, alerts, *, at="20m", version="1", failing="minilm"):
    """A thousand requests a minute are answered; which alerts there are after twenty, and of which models."""
    answered = [series(SUCCESS, 1_000, model=f"minilm{step}") for step in ("", "_tokenize", "_encode", "_head")]
    if not any(each["series"].startswith("up{") for each in counters):
        answered.append(answering("one", "1x20"))
    summary = {
        "NoServer": "No Triton answers to Prometheus.",
        "ServerGone": "one does not answer to Prometheus; the others carry its requests.",
        "Restarting": "one was started again 2 times in 15 minutes; its log says why.",
        "WorkWaits": "2.0 s of interactive work have waited for {model} for five minutes; add a replica.",
        "SlowAnswers": "One in a hundred interactive requests to {model} takes 1.5 s or longer.",
        "SlowFirstTokens": "One in twenty interactive texts of {model} waits 1.6 s or longer for its first token.",
        "TextsWait": "41 interactive texts wait for {model}, more than it decodes; add a replica.",
        "CascadeUnfit": "{model} refused 5 requests: a pipeline that it asks is not what it was fitted to.",
        "InternalErrors": "{model} had 5 faults of its own in network; its log says where in the code.",
        "Failures": f"More than 1 % of the requests to version {version} of {failing} fail.",
        "Refusing": f"{failing} turns more than 1 % of its requests away, because too much waits; add a replica.",
        "Queueing": "Requests to {model} wait more than twice as long as they compute; add a replica.",
    }
    expected = [
        {
            "eval_time": at,
            "alertname": name,
            "exp_alerts": [
                {
                    "exp_labels": labels_of(name, model, version),
                    "exp_annotations": {
                        "summary": said.format(model=model),
                        "runbook": f"docs/runbooks.md#{name.lower()}",
                    },
                }
                for model in alerts.get(name, [])
            ],
        }
        for name, said in summary.items()
    ]
    tests = {
        "rule_files": [str(MONITORING / "alerts.yml")],
        "evaluation_interval": "30s",
        "tests": [{"interval": "1m", "input_series": [*answered, *counters], "alert_rule_test": expected}],
    }
    code, said = tried(tmp_path, tests)
    assert code == 0, said
