"""How often the server was started again, as the steps of the new one show it."""

import pytest

from encserve_server.steps.instance.restarts import RESTARTS_VARIABLE, show_restarts


@pytest.fixture
def shown(triton):
    """What a server shows whose tokenize step has an instance for each of `numbers`."""
    from encserve_server.steps.instance.metrics import Metrics

    made = {}
    family = triton.MetricFamily
    genuine = family.Metric
    family.Metric = lambda self, labels: made.setdefault(tuple(sorted(labels.items())), genuine(self, labels))

    def begin(numbers, environment):
        for number in numbers:
            args = {"model_name": "minilm_tokenize", "model_version": "1", "model_instance_name": f"a_0_{number}"}
            metrics = Metrics(args)
            show_restarts(metrics, args, environment)
            metrics.tell(pytest.fail)
            metrics.tell(pytest.fail)
        (metric,) = made.values()
        return metric.value()

    return begin


def test_a_server_shows_how_often_it_was_started_again(shown):
    assert shown([0], {RESTARTS_VARIABLE: "3"}) == 3


def test_instances_show_it_once(shown):
    assert shown([0, 1], {RESTARTS_VARIABLE: "3"}) == 3


def test_a_step_that_is_loaded_again_shows_it_once(shown):
    assert shown([0, 0], {RESTARTS_VARIABLE: "3"}) == 3


@pytest.mark.parametrize("environment", [{}, {RESTARTS_VARIABLE: ""}, {RESTARTS_VARIABLE: "0"}])
def test_a_server_that_nobody_started_again_shows_none(shown, environment):
    assert shown([0], environment) == 0


def test_what_is_no_number_is_named(shown):
    with pytest.raises(ValueError, match="ENCSERVE_RESTARTS is 'many', expected a number"):
        shown([0], {RESTARTS_VARIABLE: "many"})
