"""What the head counts of its answers, by which versions are compared."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from encserve_server.steps.head.fit import Fit
from encserve_server.steps.head.projection import directions_of, projected
from encserve_server.steps.request.health import TOKEN_VARIABLE

LABELS = ["good", "bad"]


@pytest.fixture
def metrics(triton):
    from encserve_server.steps.instance.metrics import Metrics

    return Metrics({"model_name": "topics_head", "model_version": "1"})


def counts_of(metrics, **settings):
    from encserve_server.steps.head.answer_counts import answer_counts

    return answer_counts(settings, metrics)


def told(metrics, counter):
    metrics.tell(pytest.fail)
    return {tuple(dict(key).values()): metric.value() for key, metric in counter._metrics.items()}


def labels(*named):
    return {
        "label": np.array([[each.encode(), b"good"] for each in named], np.object_),
        "score": np.array([[0.95, 0.05]] * len(named), np.float32),
    }


def test_texts_are_counted_by_their_first_label_and_its_score(metrics):
    counts = counts_of(metrics, head="labels.classification", labels=LABELS, activation="softmax")
    assert told(metrics, counts._labels) == {("good",): 0, ("bad",): 0}  # from the beginning
    counts.add({}, labels("bad", "bad", "good"))
    counts.add({}, labels("bad"))
    assert told(metrics, counts._labels) == {("good",): 1, ("bad",): 3}
    buckets = told(metrics, counts._scores._buckets)
    assert (buckets["0.9",], buckets["+Inf",]) == (0, 4)
    assert told(metrics, counts._scores._sum) == {(): pytest.approx(3.8)}


def test_bare_scores_have_no_buckets(metrics):
    counts = counts_of(metrics, head="labels.classification", labels=["score"], activation="none")
    counts.add({}, {"label": np.array([[b"score"]], np.object_), "score": np.array([[-7.0]], np.float32)})
    assert told(metrics, counts._labels) == {("score",): 1}


def test_many_labels_make_no_more_series_than_a_few(metrics):
    named = [f"label {number}" for number in range(1_000)]
    counts = counts_of(metrics, head="labels.classification", labels=named, activation="softmax")
    assert told(metrics, counts._labels)["(other)",] == 0  # a watch compares what both versions have
    counts.add({}, labels("label 63", "label 64", "label 999"))
    found = told(metrics, counts._labels)
    assert (len(found), found["label 63",], found["(other)",]) == (65, 1, 2)


def windows(vectors, counts=None):
    """What the head gets of texts with so many windows each, one without `counts`."""
    counts = np.ones(len(vectors), np.int32) if counts is None else np.array(counts, np.int32)
    lengths = np.full(len(vectors), 7, np.int64)
    return {"sentence_embedding": vectors, "lengths": lengths, "window_count": counts}


def test_vectors_are_counted_by_their_side_along_fixed_directions(metrics):
    counts = counts_of(metrics, head="vectors.text_vectors")
    vectors = np.random.default_rng(0).standard_normal((100, 16)).astype(np.float32)
    counts.add(windows(vectors[:60]), {})
    counts.add(windows(vectors[60:]), {})
    assert told(metrics, counts._vectors) == {(): 100}
    signs = told(metrics, counts._signs)
    expected = (vectors @ directions_of(16) > 0).sum(axis=0)
    assert [signs[str(number),] for number in range(32)] == expected.tolist()


def sums_of(counts, metrics):
    """The sums along the directions, and of how many vectors, and of requests of how many squared."""
    from encserve_server.steps.head.vector_sums import TELLINGS

    for _ in range(TELLINGS):
        metrics.tell(pytest.fail)
    sums = told(metrics, counts._sums._sums)
    total = [sums[str(number), "above"] - sums[str(number), "below"] for number in range(32)]
    return total, told(metrics, counts._sums._vectors)[()], told(metrics, counts._sums._squares)[()]


def test_vectors_are_summed_along_the_directions_each_with_length_one(metrics):
    counts = counts_of(metrics, head="vectors.text_vectors")
    vectors = 5 * np.random.default_rng(0).standard_normal((100, 16)).astype(np.float32)
    counts.add(windows(vectors[:60]), {})
    counts.add(windows(vectors[60:]), {})
    total, count, squares = sums_of(counts, metrics)
    scaled = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert total == pytest.approx((scaled @ directions_of(16)).sum(axis=0), abs=1e-3)
    assert (count, squares) == (100, 60**2 + 40**2)


def test_a_long_text_is_summed_once_as_the_mean_of_its_windows(metrics):
    counts = counts_of(metrics, head="vectors.text_vectors")
    rows = np.random.default_rng(0).standard_normal((5, 16)).astype(np.float32)
    for _ in range(10):
        counts.add(windows(rows, [1, 4]), {})
    total, count, squares = sums_of(counts, metrics)
    texts = np.stack([rows[0], rows[1:].mean(axis=0)])
    assert total == pytest.approx(10 * projected(texts).sum(axis=0), abs=1e-3)
    assert (count, squares) == (20, 40)


def test_a_vector_that_is_not_finite_is_summed_by_nobody(metrics):
    counts = counts_of(metrics, head="vectors.text_vectors")
    for _ in range(10):
        counts.add(windows(np.array([[np.nan] * 16, [np.inf] * 16, [0.0] * 16, [1.0] * 16], np.float32)), {})
    total, count, squares = sums_of(counts, metrics)
    assert total == pytest.approx(10 * projected(np.ones((1, 16), np.float32))[0])
    assert (count, squares) == (20, 40)


def test_sums_are_told_at_each_tenth_telling(metrics):
    counts = counts_of(metrics, head="vectors.text_vectors")
    counts.add(windows(np.ones((20, 16), np.float32)), {})
    for _ in range(9):
        metrics.tell(pytest.fail)
        assert counts._sums._vectors._metrics[()].value() == 0
    metrics.tell(pytest.fail)
    assert counts._sums._vectors._metrics[()].value() == 20


def test_nothing_is_told_of_fewer_than_twenty_texts_however_many_windows_they_have(metrics):
    counts, rows = counts_of(metrics, head="vectors.text_vectors"), np.random.default_rng(0).standard_normal((40, 16))
    counts.add(windows(rows.astype(np.float32), [22, *[1] * 18]), {})
    total, count, squares = sums_of(counts, metrics)
    assert (total, count, squares) == ([0] * 32, 0, 0)
    assert told(metrics, counts._vectors) == {(): 0}
    assert not any(told(metrics, counts._signs).values())
    counts.add(windows(rows[:1].astype(np.float32)), {})
    assert sums_of(counts, metrics)[1:] == (20, 19**2 + 1)
    assert told(metrics, counts._vectors) == {(): 41}


def test_directions_are_the_same_on_every_machine():
    assert set(np.unique(directions_of(384)).tolist()) == {-1.0, 1.0}
    assert directions_of(384)[:2, :4].tolist() == [[1.0, 1.0, 1.0, -1.0], [-1.0, -1.0, 1.0, -1.0]]


def test_the_heads_that_count_are_there(metrics):
    """Where one has another name, nothing else would say that its answers are no longer counted."""
    from encserve_server.steps.head.answer_counts import _KINDS

    assert all(find_spec(f"encserve_server.steps.head.answers.{head}") for head in _KINDS)


def test_other_heads_count_nothing(metrics):
    assert counts_of(metrics, head="entities.tagged", labels=LABELS) is None


class Labelling:
    fit = Fit({"rows": ("rows",)})

    def answer(self, inputs, options):
        return labels(*["bad"] * len(inputs["rows"]))


@pytest.fixture
def step(triton, clock, metrics):
    from encserve_server.steps.head.answer_times import AnswerTimes
    from encserve_server.steps.head.loading import CheckedHead
    from encserve_server.steps.head.step import TritonPythonModel
    from encserve_server.steps.instance.failures import Failures
    from encserve_server.steps.request.options import OptionRules

    model = TritonPythonModel()
    model._rules = OptionRules({"lane": {"kind": "choice", "allowed": ["interactive"], "default": "interactive"}})
    model._head, model._inputs, model._metrics = CheckedHead(Labelling()), ["rows"], metrics
    model._failures = Failures("topics_head", metrics, sees_texts=True)
    model._times = AnswerTimes(metrics, "topics", environment={TOKEN_VARIABLE: "secret"}, clock=clock)
    model._counts = counts_of(metrics, head="labels.classification", labels=LABELS, activation="softmax")
    return model


def request(triton, clock, **parameters):
    arrived = np.array([[round(clock.now_s * 1e9)]], np.int64)
    return triton.Request(json.dumps(parameters), rows=[[1, 2]], arrived_ns=arrived)


def test_answers_are_counted_and_questions_of_supervision_are_not(triton, clock, step, metrics):
    answers = step.execute([request(triton, clock), request(triton, clock, health="secret")])
    assert not any(each.has_error() for each in answers)
    assert told(metrics, step._counts._labels) == {("good",): 0, ("bad",): 2}


def test_a_count_that_fails_takes_nobody_the_answer(triton, clock, step, metrics, monkeypatch):
    def no_memory(inputs, answer):
        raise MemoryError

    monkeypatch.setattr(step._counts, "add", no_memory)
    (answer,) = step.execute([request(triton, clock)])
    assert not answer.has_error()
    assert step._failures._errors._counts[("where", "execute"),] == 1
