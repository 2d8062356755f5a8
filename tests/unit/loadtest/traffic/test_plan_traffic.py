"""What is sent, and when: arrivals, shapes, corpus, texts."""

import numpy as np
import pytest

from encserve import AccessDenied, Candidate, Client, InvalidInput, ModelNotFound
from encserve.testing import FakeTransport, fake_pipeline
from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.traffic.arrivals import constant, poisson, process_of, replay, schedule_s
from encserve_loadtest.traffic.corpus import BUILT_IN, Mix, read_corpus
from encserve_loadtest.traffic.shapes import SHAPES
from encserve_loadtest.traffic.tasks import task_of
from encserve_loadtest.traffic.texts import Filler, grouped, length_class, padding_share
from encserve_loadtest.traffic.workload import prepare_workload


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_poisson_arrivals_have_the_rate_and_exponential_gaps():
    times = schedule_s(poisson, rate_per_s=100, duration_s=200, rng=rng())
    gaps = np.diff(times)
    assert len(times) == pytest.approx(20_000, rel=0.03)
    assert gaps.min() >= 0
    assert gaps.std() / gaps.mean() == pytest.approx(1, rel=0.03)  # of an exponential distribution
    assert np.array_equal(times, schedule_s(poisson, rate_per_s=100, duration_s=200, rng=rng()))


def test_constant_arrivals_are_a_metronome():
    assert schedule_s(constant, rate_per_s=4, duration_s=1, rng=rng()) == pytest.approx([0.125, 0.375, 0.625, 0.875])


def test_a_replay_keeps_the_gaps_and_takes_the_rate(tmp_path):
    file = tmp_path / "times.txt"
    file.write_text("10\n10.1\n10.2\n\n13.2\n")
    times = schedule_s(process_of(str(file)), rate_per_s=50, duration_s=60, rng=rng())
    assert len(times) == pytest.approx(3_000, rel=0.01)
    gaps = np.diff(times)
    assert sorted(np.unique(gaps.round(6))) == pytest.approx([0.1 / 3.2 * 3 / 50, 3 / 3.2 * 3 / 50], rel=1e-3)


def test_a_replay_starts_over():
    assert len(replay(np.array([0.0, 1.0, 3.0]))(7.5, rng())) in (7, 8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\nx\n", "line 2: 'x' is no timestamp"),
        ("2\n1\n", "line 2: '1' is earlier"),
        ("1\n1\n", "two different timestamps, it holds 1"),
        ("1\ninf\n", "line 2"),
    ],
)
def test_malformed_timestamps_are_named_by_line(tmp_path, content, message):
    file = tmp_path / "times.txt"
    file.write_text(content)
    with pytest.raises(InvalidPlan, match=message):
        process_of(str(file))


def test_unknown_arrivals_name_the_known_ones():
    with pytest.raises(InvalidPlan, match="poisson, constant, or a file"):
        process_of("gamma")


@pytest.mark.parametrize("name", SHAPES)
def test_arrivals_follow_the_shape(name):
    shape = SHAPES[name]
    times = schedule_s(constant, rate_per_s=1_000, duration_s=40, rng=rng(), shape=shape)
    assert np.all(np.diff(times) >= 0)
    counts, edges = np.histogram(times, bins=20, range=(0, 40))
    middles = (edges[1:] + edges[:-1]) / 2 / 40
    fine = [
        np.mean([shape.share_at(middle + offset) for offset in np.linspace(-0.024, 0.024, 25)]) for middle in middles
    ]
    assert counts / 2_000 == pytest.approx(fine, abs=0.03)
    assert max(rate for _, rate in shape.points) == 1


def test_the_built_in_lengths_are_seeded():
    lengths = read_corpus("sentences", rng=rng()).lengths
    assert np.median(lengths) == pytest.approx(BUILT_IN["sentences"].median_tokens, rel=0.05)
    assert np.array_equal(lengths, read_corpus("sentences", rng=rng()).lengths)
    assert lengths.min() >= 1


def test_a_histogram_becomes_lengths(tmp_path):
    file = tmp_path / "lengths.csv"
    file.write_text("tokens,count\n8,300\n64,100\n")
    values, counts = np.unique(read_corpus(str(file), rng=rng()).lengths, return_counts=True)
    assert values.tolist() == [8, 64]
    assert counts[0] / counts.sum() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl", b"\n\n", "is empty"),
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', r"a\.jsonl line 2 is no JSON"),
        ("a.jsonl", b'{"text": "x"}\n{"body": "y"}\n', r"line 2 has no text"),
        ("a.jsonl", b'"x"\n\n7\n', r"line 3 has no text"),
        ("a.jsonl", b'"x"\n"\xff"\n', r"line 2 is not UTF-8"),
        ("a.csv", b"tokens,count\n8,x1\n", r"line 2: '8,x1'"),
        ("a.csv", b"8,1\n0,4\n", r"line 2: '0,4' needs a positive length"),
        ("a.csv", b"8,0\n", "add up to nothing"),
        ("a.txt", b"x", r"expected queries, sentences, passages, FILE\.jsonl"),
    ],
)
def test_a_malformed_corpus_is_named_by_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidPlan, match=message):
        read_corpus(str(tmp_path / name), rng=rng())


def test_a_missing_corpus_is_named():
    with pytest.raises(InvalidPlan, match=r"nowhere\.jsonl cannot be read: No such file"):
        read_corpus("nowhere.jsonl", rng=rng())


def test_fillers_have_the_wanted_tokens():
    filler = Filler.from_counts([2 + 4 * 2, 2 + 12 * 2])  # two special tokens, two for every word
    texts = filler.texts(np.array([2, 12, 42]), rng())
    assert [len(text.split()) for text in texts] == [1, 5, 20]


def test_texts_are_grouped_into_full_requests():
    assert grouped(["a", "b", "c"], per_request=2) == [["a", "b"], ["c", "a"]]


def test_the_padding_is_that_of_drawn_batches():
    lengths = np.array([10, 10, 20, 100])
    drawn = rng().choice(lengths, (100_000, 4))
    assert padding_share(lengths, 4) == pytest.approx(1 - drawn.mean() / drawn.max(axis=1).mean(), abs=0.005)
    assert padding_share(lengths, 1) == pytest.approx(0)


def test_lengths_have_classes():
    assert [length_class(words) for words in (1, 16, 17, 64, 65)] == ["short", "short", "medium", "medium", "long"]


class Tokenizer:
    """A pipeline whose tokens are two more than the words."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, request):
        texts = [text.decode() for text in request.inputs["text"]]
        self.texts += texts
        counts = np.array([[len(text.split()) + 2 for text in texts]], np.int32)
        return {
            "embedding": np.ones((1, len(texts), 3), np.float32),
            "token_count": counts,
            "dropped_count": np.zeros_like(counts),
        }


@pytest.fixture
def sample(tmp_path):
    file = tmp_path / "sample.jsonl"
    file.write_text('{"text": "my secret diary"}\n"another very private sentence of mine"\n')
    return str(file)


def test_only_the_lengths_of_a_sample_are_kept(sample):
    with Client(transport=FakeTransport(Tokenizer())) as client:
        workload = prepare_workload(client, model="fake", mix=Mix(corpus=sample))
    assert sorted(workload.lengths.tolist()) == [5, 8]
    sent = {text for request in workload.requests for text in request}
    assert {len(text.split()) + 2 for text in sent} == {5, 8}
    assert not any("secret" in text or "private" in text for text in sent)


def test_the_texts_of_a_sample_are_sent_when_wanted(sample):
    with Client(transport=FakeTransport(Tokenizer())) as client:
        workload = prepare_workload(client, model="fake", mix=Mix(corpus=sample, keep_texts=True, texts_per_request=2))
    (request,) = workload.requests
    assert sorted(request) == ["another very private sentence of mine", "my secret diary"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "other", "mix": Mix()}, ModelNotFound, "no pipeline 'other' that is ready; those that are: fake"),
        ({"mix": Mix(texts_per_request=65)}, InvalidPlan, "takes 1 to 64"),
        ({"mix": Mix(keep_texts=True)}, InvalidPlan, "--keep-texts needs a corpus of texts"),
    ],
)
def test_an_impossible_workload_is_refused(options, error, message):
    with Client(transport=FakeTransport(Tokenizer())) as client, pytest.raises(error, match=message):
        prepare_workload(client, **{"model": "fake", **options})


class Closed(FakeTransport):
    """A server that lists its pipelines for nobody who asks."""

    def pipelines(self, *, timeout_s):
        raise AccessDenied("operators only")


def test_a_plan_needs_no_secret():
    with Client(transport=Closed(Tokenizer())) as client:
        workload = prepare_workload(client, model="fake", mix=Mix(corpus="queries"))
        assert (workload.pipeline.name, workload.pipeline.version) == ("fake", "1")
        with pytest.raises(ModelNotFound, match="no pipeline 'other' that is ready; those that are: who asks may not"):
            prepare_workload(client, model="other", mix=Mix(corpus="queries"))


def test_what_is_measured_is_the_active_version_and_no_candidate_of_it():
    candidate = Candidate(version="2", share=1.0)
    pipelines = [fake_pipeline(candidate=candidate), fake_pipeline(name="fake_candidate", version="2")]
    with Client(transport=FakeTransport(Tokenizer(), pipelines=pipelines), caller="me") as client:
        assert client.embed(["a"], model="fake").version == "2"
        assert task_of("feature-extraction", model="fake").call(client, ["a"], model="fake").version == "1"


@pytest.mark.parametrize("task", ["token-embedding", "sparse-embedding"])
def test_tasks_of_one_text_a_request_are_loaded(task):
    asked = []

    def answer(request):
        asked.append(request.model)
        counts = np.full((1, len(request.inputs["text"])), 3, np.int32)
        total = int(counts.sum())
        return {
            "embedding": np.ones((1, total, 3), np.float32),
            "offsets": np.zeros((1, total, 2), np.int32),
            "term_count": counts,
            "token_id": np.ones((1, total), np.int32),
            "weight": np.ones((1, total), np.float32),
            "token_count": counts,
            "dropped_count": np.zeros_like(counts),
        }

    with Client(transport=FakeTransport(answer, pipelines=[fake_pipeline(task=task)])) as client:
        given = task_of(task, model="fake").call(client, ["a", "b"], model="fake")
    assert given.token_counts.tolist() == [3, 3]
    assert asked == ["fake"]


def test_a_task_that_one_text_is_not_enough_for_is_refused():
    pipelines = [fake_pipeline(task="fill-mask")]
    message = "is for fill-mask; the planner loads feature-extraction, text-classification, text-ranking"
    client = Client(transport=FakeTransport(Tokenizer(), pipelines=pipelines))
    with client, pytest.raises(InvalidInput, match=message):
        prepare_workload(client, model="fake", mix=Mix(corpus="queries"))
