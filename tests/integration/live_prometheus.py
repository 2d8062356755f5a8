"""A real Prometheus with the shipped configuration, which looks more often."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager

import yaml
from deploy_files import MONITORING

from encserve_server.launcher.ports import free_ports

INTERVAL = "500ms"
"""Between two scrapes, and between two evaluations."""


class Prometheus:
    """One that runs, asked over its own API."""

    def __init__(self, port):
        self._url = f"http://127.0.0.1:{port}"

    def _ask(self, path, **query):
        with urllib.request.urlopen(f"{self._url}{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def value(self, query, *, label=None):
        """What a query gives that has one series at most, or a label of that; None where it has none."""
        found = self._ask("/api/v1/query", query=query)["result"]
        if not found:
            return None
        return float(found[0]["value"][1]) if label is None else found[0]["metric"][label]

    def alerts(self):
        """The names of the alerts that fire."""
        return {
            each["labels"]["alertname"] for each in self._ask("/api/v1/alerts")["alerts"] if each["state"] == "firing"
        }

    def wait_for(self, alert, *, most_s=240):
        """Until an alert fires."""
        deadline_s = time.monotonic() + most_s
        while alert not in (alerts := self.alerts()):
            assert time.monotonic() < deadline_s, f"{alert} does not fire, but {sorted(alerts)}"
            time.sleep(0.2)

    def wait_until_over(self, *alerts, most_s=240):
        """Until none of these alerts fires."""
        deadline_s = time.monotonic() + most_s
        while left := self.alerts() & {*alerts}:
            assert time.monotonic() < deadline_s, f"{sorted(left)} go on"
            time.sleep(0.2)


@contextmanager
def prometheus(executable, folder, *, scrapes, rules):
    """One that scrapes the addresses `scrapes` and looks at `rules`, as long as the block lasts; its files are in
    `folder`."""
    (folder / "alerts.yml").write_text(yaml.safe_dump(rules))
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    config["global"] = dict.fromkeys(config["global"], INTERVAL)
    config["rule_files"] = ["alerts.yml"]
    (job,) = (job for job in config["scrape_configs"] if job["job_name"] == "triton")
    config["scrape_configs"] = [job | {"static_configs": [{"targets": scrapes}]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (port,) = free_ports(1)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                executable,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(process, f"http://127.0.0.1:{port}/-/ready", folder / "log")
            yield Prometheus(port)
        finally:
            process.terminate()
            process.wait(60)


def wait_until_ready(process, url, log):
    deadline_s = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=30).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.1)
