"""A plan and a target that tests of words and files share."""

import pytest
from unit.loadtest.windows import step, window

from encserve_loadtest.config import PlanConfig
from encserve_loadtest.curve.prediction import Prediction
from encserve_loadtest.estimate.capacity import Capacity
from encserve_loadtest.findings import Findings
from encserve_loadtest.planner import judge as judge_plan
from encserve_loadtest.slo import read_slos


@pytest.fixture
def findings():
    steps = {"tokenize": step(busy=0.2), "encode": step(busy=0.9), "head": step(busy=0.1)}
    found = Findings(config=PlanConfig(model="m<b>", target_p99_s=0.1, rate_per_s=2_000, replica_cost_per_hour=1.2))
    found.windows += [window(rate_per_s=None, users=users) for users in (1, 2, 4)]
    found.windows += [
        window(p99_s, rate_per_s=rate, steps=steps) for rate, p99_s in [(20, 0.04), (40, 0.08), (60, 0.2)]
    ]
    found.capacity = Capacity(rate_per_s=43, low_per_s=38, high_per_s=47)
    found.predictions.append(Prediction(rate_per_s=30, predicted_s=0.05, measured_s=0.04))
    judge_plan(found)
    return found


SLO = """targets:
  - {model: minilm, rate: 50, p99: 100ms, p50: 20ms}
"""


@pytest.fixture
def slo(tmp_path):
    file = tmp_path / "slo.yaml"
    file.write_text(SLO)
    (slo,) = read_slos(file)
    return slo
