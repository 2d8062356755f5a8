"""Windows and steps that were never measured, with the figures that a test wants."""

import numpy as np

from encserve_loadtest.measurement.triton_metrics import StepTimes
from encserve_loadtest.measurement.window import Window
from encserve_loadtest.traffic.run import Loop, Run


def window(
    latency_s: float = 0.05,
    *,
    rate_per_s: float | None = 50,
    target_s: float = 0.1,
    late_s: float = 0.0,
    failed: int = 0,
    steps: dict[str, StepTimes] | None = None,
    cpu_s: float = 1.0,
    users: int | None = None,
) -> Window:
    """Ten seconds with exponential latencies of the given 99th percentile."""
    rng = np.random.default_rng(int((rate_per_s or 7) * 100))
    due_s = np.sort(rng.uniform(0, 10, int((rate_per_s or 20) * 10)))
    finished_s = due_s + rng.exponential(latency_s / np.log(100), len(due_s))
    finished_s[:: len(due_s) // failed if failed else len(due_s) + 1] = np.inf
    run = Run(
        loop=Loop.CLOSED if users else Loop.OPEN,
        duration_s=10,
        scheduled_s=due_s,
        sent_s=due_s + late_s,
        finished_s=finished_s if failed else due_s + np.maximum(finished_s - due_s, 1e-4),
        tokens=np.where(np.isfinite(finished_s), 30, 0),
        failures={"Unavailable": failed} if failed else {},
        client_cpu_s=cpu_s,
    )
    return Window(run=run, rate_per_s=rate_per_s, users=users, target_p99_s=target_s, steps=steps or {})


def step(*, busy: float = 0.5, queue_s: float = 0.01, compute_s: float = 0.02, repeated: int = 0) -> StepTimes:
    return StepTimes(
        requests=100,
        batches=50,
        queue_s=queue_s,
        compute_s=compute_s,
        busy_share=busy,
        texts=100,
        repeated_texts=repeated,
    )
