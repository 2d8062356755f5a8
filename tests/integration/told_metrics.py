"""What a server tells in its metrics."""

import time
import urllib.request


def metric(server, name, **labels):
    """The sum of a metric over its series with these labels."""
    return metric_in(metrics_page(server), name, **labels)


def metrics_page(server):
    """The lines of what it tells, all of one moment."""
    with urllib.request.urlopen(server.metrics_url) as page:
        return page.read().decode().splitlines()


def metric_in(lines, name, **labels):
    """The sum of a metric over its series with these labels, in a page of metrics."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith(name + "{") and all(each in line for each in wanted)
    )


def wait_for_metric(server, name, value, **labels):
    """The door tells its counts once a second."""
    deadline_s = time.monotonic() + 60
    while metric(server, name, **labels) < value and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert metric(server, name, **labels) == value


def wait_for_more(server, name, than, **labels):
    """Of what may be counted more than once, as where a client asks again."""
    deadline_s = time.monotonic() + 60
    while metric(server, name, **labels) <= than:
        assert time.monotonic() < deadline_s, f"{name} is still {than}"
        time.sleep(0.05)
