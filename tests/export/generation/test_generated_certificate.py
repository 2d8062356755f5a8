"""The certificate of what is generated: what it finds, and what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest

from encserve_export.certificate.limits import GENERATION_LIMITS
from encserve_export.config import Precision
from encserve_export.errors import CertificateFailed, WayFailed
from encserve_export.generation.asked_step import AskedStep, Made
from encserve_export.generation.certificate import requests
from encserve_export.generation.certificate.certify import _figures, certify
from encserve_export.generation.certificate.compared import Difference, Likeliest, Searched
from encserve_export.reference.messages import Answer, Answered, Asked, Library, Row
from encserve_server.steps.generate.decoder.network import GenerateNetwork

from .greedy import greedy

LIMITS = GENERATION_LIMITS[Precision.FP32]
ROOM = 6


class Step:
    """Stands for a step whose logits are chosen."""

    def __init__(self, logits):
        self.rows = np.array(logits, np.float32)

    def logits(self, source, tokens):
        return self.rows[: len(tokens)]

    def token_of(self, token):
        return f"<{token}>"

    def score(self, source, tokens, options):
        return -float(sum(tokens))


def made(tokens, text="a text", source=(1, 2)):
    return Made(np.array(source), list(tokens), text, "eos")


def answered(tokens, logits, text="a text", source=(1, 2)):
    numbers = np.zeros(0, np.float32)
    answers = (Answer("found", numbers, tuple(tokens)), Answer("found", numbers, (text,)))
    return Answered([answers], [Row(np.array(source), None, np.array(logits, np.float32))])


def logits_for(tokens, lead=3.0):
    """Of each token a row (ROOM,) of which the token is the highest."""
    rows = np.tile(np.linspace(0, 1, ROOM), (len(tokens), 1))
    rows[np.arange(len(tokens)), tokens] = 1 + lead
    return rows


def test_a_difference_is_told_with_its_place_its_tokens_and_the_lead_of_the_librarys():
    right = logits_for([4, 3, 2])
    right[1] = [0, 0, 0, 1.0, 0.99, 0]
    seen = Likeliest()
    seen.add(made([4, 4, 1]), answered([4, 3, 2], right), Step(right))
    (found,) = seen.differences
    assert {"text": 0, "token": 1, "ours": "<4>", "library": "<3>"}.items() <= vars(found).items()
    assert found.margin == pytest.approx(0.01 / right[1].std(), rel=1e-4)
    assert (seen.identical, seen.agreed, seen.tokens) == ([False], 3, 3)
    assert seen.divergence == pytest.approx(0, abs=1e-9)


def test_logits_are_compared_along_the_librarys_tokens_over_their_deviation():
    right = logits_for([4, 3])
    ours = right.copy()
    ours[1, 0] -= 0.5
    seen = Likeliest()
    seen.add(made([4, 3]), answered([4, 3], right), Step(ours))
    assert seen.largest == [pytest.approx(0.5 / right[1].std(), rel=1e-4)]
    assert seen.rms == [pytest.approx(seen.largest[0] / np.sqrt(2 * ROOM), rel=1e-4)]  # one of so many is off
    assert seen.divergence > 0
    assert seen.identical == [True]


def test_padding_of_the_librarys_vocabulary_is_not_compared():
    right = logits_for([4])
    seen = Likeliest()
    seen.add(made([4]), answered([4], np.pad(right, ((0, 0), (0, 3)), constant_values=99)), Step(right))
    assert seen.largest == [pytest.approx(0, abs=1e-6)]


@pytest.mark.parametrize(
    ("ours", "complaint"),
    [(made([4], source=(1, 3)), "has 2 tokens here and 2"), (made([4], "another"), "are another text here")],
)
def test_other_tokens_of_a_source_and_another_text_of_the_same_tokens_end_the_certificate(ours, complaint):
    right = logits_for([4])
    for seen, more in ((Likeliest(), ()), (Searched(), (Asked({"text": ["a"]}),))):
        with pytest.raises(CertificateFailed, match=complaint):
            seen.add(ours, answered([4], right), Step(right), *more)


def test_another_hypothesis_is_as_good_where_its_score_is_no_lower():
    seen, asked = Searched(), Asked({"text": ["a"]})
    for tokens in ([4, 1], [1, 1], [5, 5]):  # the same, a better and a worse one
        seen.add(made(tokens), answered([4, 1], logits_for([4, 1])), Step([]), asked)
    assert seen.identical == [True, False, False]
    assert seen.shortfalls == [0.0, 0.0, 5.0]
    assert seen.as_good == pytest.approx(2 / 3)


def test_everybody_is_asked_with_prompts_and_languages_in_turn_and_some_with_beams():
    defaults = greedy(max_new_tokens=9, prompts={"b": "say: ", "a": "ask: "})
    asked = requests.requests_for(defaults, ["de", "fr"], 64)
    assert [each.options["prompt_name"] for each in asked.likeliest[:4]] == ["", "a", "b", ""]
    assert {each.options["source_language"] for each in asked.likeliest} == {"de", "fr"}
    assert {each.options["num_beams"] for each in asked.searched} == {requests.BEAMS}
    assert [each.inputs for each in asked.searched] == [each.inputs for each in asked.likeliest[::4]]
    assert len(asked.all) == len(asked.likeliest) + len(asked.searched) == 80
    wide = requests.requests_for(replace(defaults, num_beams=6), [], 64)
    assert {each.options["num_beams"] for each in wide.searched} == {6}


@pytest.fixture
def library(checkpoint):
    return Library(folder=checkpoint, task="text2text-generation", max_length=64)


@pytest.fixture
def defaults():
    return greedy(end_tokens=(2,), max_new_tokens=5, top_k=50)


def test_nan_is_counted_and_refused(step_folder, library, defaults, tmp_path, monkeypatch):
    genuine = GenerateNetwork.step

    def step(self, tokens, cache):
        logits = genuine(self, tokens, cache)
        logits[cache.source_lengths == 64] = np.nan
        return logits

    monkeypatch.setattr(GenerateNetwork, "step", step)
    with pytest.raises(WayFailed, match=r"nonfinite is [0-9]+, must be at most 0; worst is text [0-9]+ of 64 tokens"):
        certify(step_folder, library, defaults, LIMITS, keep_in=tmp_path)


def test_nan_along_the_librarys_tokens_names_its_text(step_folder, library, defaults, tmp_path, monkeypatch):
    genuine, compared = AskedStep.logits, []

    def logits(self, source, tokens):
        compared.append(len(source))
        return genuine(self, source, tokens) * (np.nan if len(compared) == 4 else 1)

    monkeypatch.setattr(AskedStep, "logits", logits)
    monkeypatch.setattr(requests, "TEXTS", 8)
    with pytest.raises(WayFailed) as raised:
        certify(step_folder, library, defaults, LIMITS, keep_in=tmp_path)
    worst = f"worst is text 3 of {compared[3]} tokens"
    assert f"nonfinite is 1, must be at most 0; {worst}" in str(raised.value)
    assert f"logits_max_diff is nan, must be at most 0.0001; {worst}" in str(raised.value)


def test_requests_have_the_numbers_of_their_texts(defaults):
    asked = requests.requests_for(defaults, [], 64)
    texts = [each.inputs for each in asked.likeliest]
    assert [texts[number] for number in asked.numbers] == [each.inputs for each in asked.all]


def figures_of(limits, **measured):
    """What holds of 200 texts and 50 with beams, all of them perfect but for what is `measured`."""
    least = {
        "identical": [True] * 200,
        "largest": [0.0] * 200,
        "rms": [0.0] * 200,
        "agreed": 20_000,
        "tokens": 20_000,
    }
    beams, same = measured.pop("shortfalls", [0.0] * 50), measured.pop("same", 1.0)
    found = _figures(Likeliest(**(least | measured)), Searched(shortfalls=beams, identical=[True] * 50), same, limits)
    return {figure.name: figure.holds for figure in found}


def apart(number):
    return [0.0] * 7 + [number] + [0.0] * 192


def first_differences(*margins):
    return [
        Difference(text=number, token=0, margin=margin, ours="a", library="b") for number, margin in enumerate(margins)
    ]


MEASURED = {
    "tokens_identical": lambda limit: {"identical": [number < limit * 200 for number in range(200)]},
    "tie_margin": lambda limit: {"differences": first_differences(0.0, limit)},
    "logits_max_diff": lambda limit: {"largest": apart(limit)},
    "logits_rms_diff": lambda limit: {"rms": apart(limit)},
    "argmax_agreement": lambda limit: {"agreed": limit * 20_000},
    "divergence": lambda limit: {"divergence": limit * 20_000},
    "beams_as_good": lambda limit: {"shortfalls": [0.0 if number < limit * 50 else 1.0 for number in range(50)]},
    "company_identical": lambda limit: {"same": limit},
}


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("precision", GENERATION_LIMITS)
def test_each_figure_holds_up_to_its_limit_and_not_beyond(precision, name):
    limits = GENERATION_LIMITS[precision]
    limit = getattr(limits, name)
    share = name.endswith(("identical", "agreement", "as_good"))
    holds = dict.fromkeys(MEASURED, True)
    assert figures_of(limits, **MEASURED[name](limit)) == holds
    if limit or not share:  # a share of 0 is told alone
        beyond = limit - 0.02 if share else limit * 1.01
        assert figures_of(limits, **MEASURED[name](beyond)) == holds | {name: False}


@pytest.mark.parametrize(("lead", "holds"), [(2e-4, True), (2e-3, False)])
def test_a_text_that_differs_in_fp32_is_refused_and_told_apart_from_one_that_ties(lead, holds):
    right = logits_for([4, 3])
    theirs, ours = right.copy(), right.copy()
    theirs[1], ours[1] = [0, 0, 1, 1 + lead, 0, 0], [0, 0, 1 + lead, 1, 0, 0]
    seen = Likeliest()
    for _ in range(63):
        seen.add(made([4, 3]), answered([4, 3], right), Step(right))
    seen.add(made([4, 2]), answered([4, 3], theirs), Step(ours))
    found = {
        each.name: each.holds for each in _figures(seen, Searched(shortfalls=[0.0], identical=[True]), 1.0, LIMITS)
    }
    assert [found[name] for name in ("tokens_identical", "tie_margin", "argmax_agreement")] == [False, holds, holds]


def test_a_text_that_depends_on_its_neighbours_is_refused(step_folder, library, defaults, tmp_path, monkeypatch):
    genuine = GenerateNetwork.step

    def step(self, tokens, cache):
        logits = genuine(self, tokens, cache)
        if cache.rows > 1:
            logits[:, :, 2] += 1e4
        return logits

    monkeypatch.setattr(GenerateNetwork, "step", step)
    monkeypatch.setattr(requests, "TEXTS", 16)
    with pytest.raises(WayFailed, match=r"company_identical is 0[.0-9]*, must be at least 1"):
        certify(step_folder, library, defaults, LIMITS, keep_in=tmp_path)
    assert not list(tmp_path.iterdir())


def test_texts_come_and_go_in_few_places(step_folder):
    texts = [Asked({"text": ["ab" * number]}, {"max_new_tokens": 3 + number % 5}) for number in range(12)]
    seen = []
    genuine = GenerateNetwork.step

    def step(self, tokens, cache):
        seen.append(cache.rows)
        return genuine(self, tokens, cache)

    with pytest.MonkeyPatch.context() as patch, AskedStep(step_folder) as asked:
        patch.setattr(GenerateNetwork, "step", step)
        few = asked.make(texts, rows=3)
    assert max(seen) == 3
    assert all(each.finish in ("eos", "length") for each in few)


def test_what_was_asked_is_kept_beside_the_manifest(published, manifest):
    assert "t5/1/reference.npz" in manifest.files
    parity = json.loads((published / "t5" / "1" / "manifest.json").read_text())["parity"]
    assert len(parity["logits_max_diff_by_text"]) == len(parity["token_counts"]) == 64
    assert parity["margins"] == sorted(parity["margins"])
    assert len(parity["margins"]) == 101
    assert (parity["differences"], parity["num_beams"]) == ([], 4)
    assert set(parity["reported"]) == {"beams_identical", "score_shortfall"}
