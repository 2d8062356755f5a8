"""A pod of the chart without a cluster: its container's command as a process, treated as a kubelet treats it."""

import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil
from own_ports import own_ports

PORTS = {"http": 8000, "grpc": 8001, "metrics": 8002, "health": 8003}
"""The container's own, in whose place each process here has free ones."""


class Pod:
    """A server, from its start to its end.

    The kubelet's part is a thread: it runs the probes of the manifest at their times, takes who is not ready for not
    ready, ends a container that fails its liveness probe, and starts again one that has ended.

    Args:
        spec: of the pod, out of a rendered Deployment.
        repository: what it serves in the place of /models.
    """

    def __init__(self, spec, repository):
        (self._container,) = spec["containers"]
        self._grace_s = spec["terminationGracePeriodSeconds"]
        self._ports = dict(zip(PORTS, own_ports(len(PORTS)), strict=True))
        program, *arguments = self._container["args"]
        here = (f"--repository={repository}", "--host=127.0.0.1")
        ports = (f"--{name}-port={port}" for name, port in self._ports.items())
        self._command = [sys.executable, "-m", program, *arguments, *here, *ports]  # the last of an option counts
        self.grpc_url = f"127.0.0.1:{self._ports['grpc']}"
        self.metrics_url = f"http://127.0.0.1:{self._ports['metrics']}/metrics"
        self.ready = False
        self.restarts = 0
        self._launcher = None

    def begin(self):
        """Start it; a kubelet looks after it from now on."""
        self._deleted = threading.Event()
        self._start()
        self._kubelet = threading.Thread(target=self._look_after, daemon=True)
        self._kubelet.start()

    def delete(self):
        """End it as `kubectl delete pod` does: first the sleep of preStop, then SIGTERM; SIGKILL when its time is up.

        Returns its exit code, and the seconds that it had left.
        """
        deadline_s = time.monotonic() + self._grace_s
        self._deleted.set()
        self._kubelet.join()
        self.ready = False
        time.sleep(self._container["lifecycle"]["preStop"]["sleep"]["seconds"])
        self._launcher.terminate()
        try:
            code = self._launcher.wait(deadline_s - time.monotonic())
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._launcher.wait()
        return code, deadline_s - time.monotonic()

    def kill(self):
        """SIGKILL to all of its processes, as the kernel does where the first one of a container is killed."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)

    def freeze(self):
        """Stop all of its processes, as a host does that does not go on."""
        for process in self._processes():
            process.suspend()

    @property
    def server_pid(self):
        """The process of tritonserver."""
        (pid,) = (each.pid for each in self._processes() if each.name().startswith("tritonserver"))
        return pid

    def close(self):
        """Leave nothing of it, whatever its state is; also of one that never began."""
        if self._launcher is None:
            return
        self._deleted.set()
        self._kubelet.join()
        self.kill()
        self._launcher.wait()

    def _start(self):
        self._launcher = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _processes(self):
        with suppress(psutil.NoSuchProcess):
            launcher = psutil.Process(self._launcher.pid)
            return [launcher, *launcher.children(recursive=True)]
        return []

    def _look_after(self):
        while not self._deleted.is_set():
            self._look_after_container()
            self.ready = False
            if not self._deleted.is_set():
                self.kill()
                self._launcher.wait()
                self.restarts += 1
                self._start()

    def _look_after_container(self):
        """Until it has ended, is to be ended, or the pod is deleted."""
        startup, readiness, liveness = (
            Probe(self._container[f"{name}Probe"], self._ports["health"])
            for name in ("startup", "readiness", "liveness")
        )
        while not startup.succeeds() and self._runs():
            assert startup.failures < startup.most_failures, "the pod did not start in the time that it has"
        readiness.succeeds()
        while self._runs():
            self.ready = readiness.failures < readiness.most_failures and (self.ready or readiness.failures == 0)
            for probe in (readiness, liveness):
                if probe.is_due():
                    probe.succeeds()
            if liveness.failures >= liveness.most_failures:
                return

    def _runs(self):
        """Whether the container does, a moment later."""
        return not self._deleted.wait(0.1) and self._launcher.poll() is None


class Probe:
    """One of the three questions to a container, by the shell of this host; `port` is that of the launcher's page."""

    def __init__(self, probe, port):
        command = probe["exec"]["command"]
        self._command = [each.replace(f"/{PORTS['health']}", f"/{port}") for each in command]
        assert self._command != command
        self._timeout_s, self._period_s = probe["timeoutSeconds"], probe["periodSeconds"]
        self.most_failures = probe["failureThreshold"]
        self.failures = 0
        """In a row, until now."""
        self._next_s = time.monotonic()

    def is_due(self):
        """Whether its time has come."""
        return time.monotonic() >= self._next_s

    def succeeds(self):
        """Ask, once it is due."""
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        self._next_s = time.monotonic() + self._period_s
        try:
            asked = subprocess.run(
                self._command, capture_output=True, timeout=self._timeout_s, check=False, stdin=subprocess.DEVNULL
            )
            well = asked.returncode == 0
        except subprocess.TimeoutExpired:
            well = False
        self.failures = 0 if well else self.failures + 1
        return well
