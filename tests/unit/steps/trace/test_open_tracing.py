"""What an instance shows from the beginning where it traces."""

from encserve_server.steps.trace.tracing import PLACE, open_tracing


class Counter:
    def __init__(self):
        self.shown = []

    def expect(self, **labels):
        self.shown.append(labels)


class Instance:
    """Its metrics and its failures."""

    def __init__(self):
        self.places, self.counters = [], {}

    def counter(self, name, about):
        return self.counters.setdefault(name, Counter())

    def expect(self, *places):
        self.places += places

    def warn(self, sentence):
        raise AssertionError(sentence)

    def report(self, where, error):
        raise error


def opened(instance, **environment):
    args = {"model_name": "minilm_head", "model_version": "1"}
    return open_tracing(args, step="_head", metrics=instance, failures=instance, environment=environment)


def test_faults_of_telling_are_counted_from_the_beginning():
    """An alert does not see the fault with which a series begins."""
    instance = Instance()
    tracing = opened(instance, ENCSERVE_OTLP="http://127.0.0.1:1")
    tracing.close()
    assert instance.places == [PLACE]
    assert instance.counters["encserve_sent_spans"].shown == [{}]
    assert instance.counters["encserve_dropped_spans"].shown == [{"reason": "queue"}, {"reason": "collector"}]


def test_who_traces_nothing_shows_nothing():
    instance = Instance()
    assert opened(instance) is None
    assert (instance.places, instance.counters) == ([], {})
