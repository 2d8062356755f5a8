"""Servers that are gone, or started again and again, raise the alerts that they should."""

import pytest
from raised_alerts import answering, check_alerts


def test_a_server_that_is_started_again_and_again_is_seen(tmp_path):
    """Each pipeline tells of the same starts, of which several may come between two looks."""
    again = {"Restarting": [None]}
    for values, alerts in (("0 0 0 1 1 2 2x14", again), ("0 0 0 2 2x16", again), ("0 0 0 1 1x16", {})):
        restarts = [
            {"series": f'encserve_restarts{{model="{name}_tokenize", instance="one"}}', "values": values}
            for name in ("minilm", "ranker")
        ]
        check_alerts(tmp_path, restarts, alerts, at="12m")


def test_a_server_that_others_start_again_and_again_is_seen(tmp_path):
    answers = {
        "series": 'nv_inference_request_success{model="other", instance="one"}',
        "values": "0 9 9 2 5 5 1 3 4x13",
    }
    check_alerts(tmp_path, [answers], {"Restarting": [None]}, at="12m")
    check_alerts(tmp_path, [{**answers, "values": "0 9 9 2 5 5 6 7 8x13"}], {}, at="12m")


@pytest.mark.parametrize(
    ("up", "alerts"), [("1x20", {}), ("1x9 0x10", {"NoServer": [None]}), (None, {"NoServer": [None]})]
)
def test_a_server_that_is_gone_is_seen(tmp_path, up, alerts):
    """Also where Prometheus knows none, as in a cluster where no pod could be placed."""
    servers = [] if up is None else [answering("one", up)]
    check_alerts(tmp_path, [*servers, answering("elsewhere", "1x20", job="gateway")], alerts)


@pytest.mark.parametrize(("up", "alerts"), [("1x9 0x10", {"ServerGone": [None]}), ("0x20", {})])
def test_one_server_of_several_that_is_gone_is_seen(tmp_path, up, alerts):
    """And not one that never was there: a pod that starts, or the other service of the compose file."""
    check_alerts(tmp_path, [answering("one", up), answering("two", "1x20")], alerts)
