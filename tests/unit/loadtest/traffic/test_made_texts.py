"""Traffic for pipelines that generate: how long new texts are, whole and in pieces."""

import asyncio
from collections import Counter

import numpy as np
import pytest

from encserve import AsyncClient, Client
from encserve.testing import AsyncFakeTransport, FakeTransport, fake_pipeline
from encserve_loadtest.config import PlanConfig
from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.planner import refuse_to_tune
from encserve_loadtest.traffic.corpus import Mix
from encserve_loadtest.traffic.made import made_lengths
from encserve_loadtest.traffic.workload import prepare_workload

MAKER = fake_pipeline(task="text2text-generation")


def tokens(text):
    """Of a source."""
    return len(text.split()) + 2


def answer(request):
    """As many words as are asked for, where it is a stream in two pieces."""
    sources = [tokens(text.decode()) for text in request.inputs["text"]]
    texts = len(sources)
    made = int(request.parameters.get("max_new_tokens", 5))
    words = ["a"] * made

    def part(piece, finish):
        return {
            "text_output": np.array([[piece.encode()] * texts], object),
            "index": np.arange(texts, dtype=np.int32)[None],
            "finish": np.array([[finish.encode()] * texts], object),
            "output_token_count": np.full((1, texts), made, np.int32),
            "token_count": np.array([sources], np.int32),
            "dropped_count": np.zeros((1, texts), np.int32),
        }

    if request.parameters.get("stream"):
        return [part(words[0], ""), part(" ".join(words[1:]), "length")]
    return part(" ".join(words), "length")


def noting(asked):
    """`answer`, which notes the parameters of each request."""

    def noted(request):
        asked.append(request.parameters)
        return answer(request)

    return noted


@pytest.fixture
def transport():
    return FakeTransport(answer, pipelines=[MAKER])


def prepared(transport, **mix):
    with Client(transport=transport) as client:
        return prepare_workload(client, model="fake", mix=Mix(corpus="queries", **mix))


def test_tokens_of_sources_are_counted_without_texts_being_made():
    asked = []
    prepared(FakeTransport(noting(asked), pipelines=[MAKER]))
    assert {each["max_new_tokens"] for each in asked} == {1}


def sent_by(workload, count):
    """What each of the first requests asks for, and what the generator is told of it."""
    asked = []

    async def send():
        async with AsyncClient(transport=AsyncFakeTransport(noting(asked), pipelines=[MAKER])) as client:
            ask = workload.sender(client, timeout_s=10)
            return [await ask(index) for index in range(count)]

    answered = asyncio.run(send())
    return answered, asked


def test_new_texts_have_the_lengths_that_are_stated(transport, tmp_path):
    file = tmp_path / "lengths.csv"
    file.write_text("tokens,count\n4,3\n20,1\n")
    workload = prepared(transport, made=str(file))
    counts = Counter(workload.made.tolist())
    assert counts[4] / len(workload.made) == pytest.approx(0.75, abs=0.05)
    assert set(counts) == {4, 20}
    answered, asked = sent_by(workload, 30)
    assert [each["max_new_tokens"] for each in asked] == workload.made[:30].tolist()
    assert [each["min_new_tokens"] for each in asked] == workload.made[:30].tolist()
    sources = [tokens(text) for (text,) in workload.requests[:30]]
    assert answered == [source + made for source, made in zip(sources, workload.made, strict=False)]


def test_new_texts_that_come_in_pieces_tell_when_the_first_is_there(transport):
    workload = prepared(transport, made="6", streams=True)
    answered, asked = sent_by(workload, 2)
    assert [each.tokens for each in answered] == [tokens(text) + 6 for (text,) in workload.requests[:2]]
    assert all(np.isfinite(each.first_s) for each in answered)
    assert all(each["stream"] for each in asked)


def test_lengths_come_from_a_number_a_name_or_texts(tmp_path):
    rng = np.random.default_rng(3)
    texts = tmp_path / "made.jsonl"
    texts.write_text('"one two"\n"one two three four"\n')

    def count(given):
        return np.array([len(text.split()) for text in given])

    assert made_lengths("7", rng=rng, count=count).tolist() == [7]
    assert sorted(made_lengths(str(texts), rng=rng, count=count)) == [2, 4]
    assert np.median(made_lengths("queries", rng=rng, count=count)) == pytest.approx(10, abs=1)
    with pytest.raises(InvalidPlan, match="1 is the least"):
        made_lengths("0", rng=rng, count=count)


def test_lengths_that_a_pipeline_does_not_make_are_refused_before_the_first_window():
    from encserve import InvalidInput

    def refuses(request):
        if int(request.parameters.get("max_new_tokens", 0)) > 100:
            raise InvalidInput("option max_new_tokens is 101; 100 is the most")
        return answer(request)

    with pytest.raises(InvalidPlan, match="no new text of 101 tokens can be asked for: option max_new_tokens is 101"):
        prepared(FakeTransport(refuses, pipelines=[MAKER]), made="101")


@pytest.mark.parametrize("mix", [{"made": "4"}, {"streams": True}])
def test_other_pipelines_make_no_texts(mix):
    with pytest.raises(InvalidPlan, match="is for text-classification, and makes no texts"):
        prepared(FakeTransport(answer, pipelines=[fake_pipeline(task="text-classification")]), **mix)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first_p99_s": 3.0}, "the first piece may take 3 s, and the whole answer 2 s"),
        ({"first_p99_s": 1.0, "texts_per_request": 2}, "an answer in pieces is of one text"),
        ({"first_p99_s": 0.0}, "it must be positive"),
    ],
)
def test_an_impossible_target_of_the_first_piece_is_refused(options, message):
    with pytest.raises(InvalidPlan, match=message):
        PlanConfig(model="t5", target_p99_s=2.0, **options)


def test_there_are_no_settings_to_try():
    config = PlanConfig(model="fake", target_p99_s=2.0, tune=True)
    with pytest.raises(InvalidPlan, match="'fake' generates, and --tune has no settings for that"):
        refuse_to_tune(config, MAKER)


def test_the_target_of_the_first_piece_weighs_it():
    config = PlanConfig(model="t5", target_p99_s=2.0, first_p99_s=0.5)
    assert (config.first_weight, config.mix.streams) == (4.0, True)
    without = PlanConfig(model="t5", target_p99_s=2.0)
    assert (without.first_weight, without.mix.streams) == (0.0, False)
