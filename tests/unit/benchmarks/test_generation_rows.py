"""The benchmark of pipelines that generate: what peers are asked, and what its table says."""

import argparse

import pytest
from benchmarks.generation import identity
from benchmarks.generation.__main__ import Measured, report
from benchmarks.generation.arrivals import Waited, waited
from benchmarks.generation.checkpoint import LEAST_NEW, MOST_NEW, Request, _tokenizer, requests
from benchmarks.generation.exported import HELD_TO_NOTHING
from benchmarks.generation.systems import Waits
from benchmarks.servers.seq2seq import BATCH, answer

from encserve_export.certificate.limits import generation_limits_for
from encserve_export.config import Precision


class Counting:
    """Says 10, 11, 12 ... of each text, or ends after as many tokens as it has."""

    def __init__(self):
        self.batches = []

    def make(self, ids, new, beams):
        self.batches.append((len(ids), new, beams))
        if new is None:
            return [[9] * len(text) + [1, 5, 5] for text in ids]
        return [list(range(10, 10 + new)) for _ in ids]


def test_texts_of_similar_lengths_share_a_batch_and_each_is_cut_to_its_own():
    system, new = Counting(), [3 + number % 7 for number in range(BATCH + 4)]
    made = answer(system, [[1]] * len(new), new, 1, 4)
    assert [len(tokens) for tokens in made] == new
    assert system.batches == [(BATCH, 9, 4), (4, sorted(new)[3], 4)]


def test_texts_that_end_by_themselves_end_with_the_token():
    assert answer(Counting(), [[4, 4], [4]], None, 1, 1) == [[9, 9, 1], [9, 1]]


def test_requests_are_of_words_that_are_a_token_each(tmp_path):
    _tokenizer(500).save(str(tmp_path / "tokenizer.json"))
    asked = requests(tmp_path, 40, seed=0)
    assert all(len(each.ids) == len(each.text.split()) + 1 for each in asked)
    assert all(2 not in each.ids for each in asked)  # the token of unknown words
    assert all(LEAST_NEW <= each.new_tokens <= MOST_NEW for each in asked)
    assert asked == requests(tmp_path, 40, seed=0)


def test_the_table_has_ratios_within_a_round_and_names_what_is_missing():
    machine = {"cpu": "a processor", "cores": 2, "load_before": 0.1}
    measured = Measured(
        machine,
        per_s={
            "transformers": [100.0, 50.0, 80.0],
            "transformers, 4 beams": [20.0, 20.0, 20.0],
            "encserve-fp32": [300.0, 200.0, 200.0],
            "encserve-fp32, 4 beams": [60.0, 50.0, 40.0],
        },
        identical={"encserve-fp32": "48 of 48"},
        rate_per_s=12.34,
        waited={"encserve-fp32, 16 streams": Waited(33.4, 151.0, 545.0, 1.5)},
        missing={"openvino": "it is not installed"},
    )
    assert measured.ratios("encserve-fp32") == pytest.approx([3.0, 4.0, 2.5])
    text = report(measured, argparse.Namespace(tiny=False, texts=64, rounds=3))
    assert "| encserve-fp32 | 200 | 3.00 (2.50 to 4.00) | 48 of 48 |" in text
    assert "| encserve-fp32, 4 beams | 50 | 2.50 (2.00 to 3.00) |" in text
    assert "| transformers, 4 beams | 20 | 1 |" in text
    assert "| openvino |  | not measured: it is not installed |  |" in text
    assert "a processor, 2 cores" in text
    assert "12.3 a second, 60% of what ctranslate2-float32" in text
    assert "| encserve-fp32, 16 streams | 33 ms | 151 ms | 545 ms | 1.50 |" in text


def test_int8_is_held_to_nothing_but_that_texts_do_not_move_each_other():
    held = generation_limits_for(Precision.INT8, HELD_TO_NOTHING)
    assert {name for name, limit in vars(held).items() if 0 < limit < 1e9} == {"company_identical"}


class Failing:
    """A peer that does not start, or ends when it is asked, by its name."""

    closed = 0

    def __init__(self, name, checkpoint, work, *, threads):
        self.name = name
        if name == "absent":
            raise SystemExit("it is not installed")

    def until_end(self, ids, *, end, beams):
        if self.name == "ends":
            raise SystemExit("it ended: out of memory")
        return [[end] for _ in ids]

    def close(self):
        Failing.closed += 1


def test_a_peer_that_does_not_start_loses_no_round_of_the_others(monkeypatch, tmp_path):
    monkeypatch.setattr(identity, "Peer", Failing)
    made, missing = identity.tokens_of(["absent", "transformers", "ends"], tmp_path, tmp_path, [[4], [5]], end=1)
    assert made == {"transformers": [[1], [1]]}
    assert missing == {"absent": "it is not installed", "ends": "it ended: out of memory"}
    assert Failing.closed == 2


class Instant:
    """Answers each text at once, a second after its first token."""

    def as_they_come(self, asked, due_s):
        self.due_s = due_s
        return Waits([0.01] * len(asked), [1.01] * len(asked))


def test_all_systems_get_the_same_texts_at_the_same_moments():
    systems = {"one": Instant(), "other": Instant()}
    found = waited(systems, [Request("a", [1], 5)] * 400, rate_per_s=20.0)
    assert systems["one"].due_s == systems["other"].due_s
    assert systems["one"].due_s[-1] == pytest.approx(400 / 20, rel=0.2)
    assert found["one"] == found["other"] == Waited(10.0, 1_010.0, 1_010.0, 1.0)
