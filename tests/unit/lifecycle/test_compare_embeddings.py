"""What is said of two pipelines of vectors whose difference is known."""

from dataclasses import replace

import numpy as np
import pytest

from encserve import ContractError, InvalidInput
from encserve_lifecycle.comparison.cost import reembedding
from encserve_lifecycle.comparison.embeddings import compare_embeddings
from encserve_lifecycle.comparison.forms import Form
from encserve_lifecycle.comparison.ranks import unit
from encserve_lifecycle.comparison.reading import Texts
from encserve_lifecycle.comparison.verdict import of_embeddings
from encserve_pages.page import Line

from .two_pipelines import pipeline, sides_of, vectors_of

WIDTH = 64
WORDS = [f"text number {index}" for index in range(60)] + [f"текст номер {index} подлиннее" for index in range(40)]


def texts_of(words, relevant=()):
    return Texts(
        texts=words, ids=[str(index) for index in range(len(words))], labels=[], relevant=list(relevant), repeated=0
    )


def random_vectors(seed, words=WORDS, width=WIDTH):
    draws = np.random.default_rng(seed)
    return dict(zip(words, draws.standard_normal((len(words), width)).astype(np.float32), strict=True))


def compared(old, new, queries=None, width=WIDTH, thresholds=()):
    pipelines = [pipeline("old", dimensions=WIDTH), pipeline("new", dimensions=width)]
    sides = sides_of(pipelines, {"old": vectors_of(old), "new": vectors_of(new)})
    return compare_embeddings(sides, texts_of(WORDS), queries, thresholds)


def said(found) -> dict[str, Line]:
    return {line.topic: line for line in of_embeddings(found, reembedding(len(WORDS), found.asked, None))}


def test_a_pipeline_is_like_itself():
    vectors = random_vectors(0)
    found = compared(vectors, vectors)
    assert (found.first.value, found.overlap.value) == (1.0, 1.0)
    assert found.rbo.value == pytest.approx(1.0)
    assert found.same_space
    assert said(found)["index"].figure == "keep it"
    assert all(each.new == each.old for each in found.thresholds)


def test_vectors_turned_in_space_find_the_same_and_need_a_new_index():
    vectors = random_vectors(0)
    turn, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((WIDTH, WIDTH)))
    found = compared(vectors, {text: (vector @ turn).astype(np.float32) for text, vector in vectors.items()})
    assert (found.first.value, found.overlap.value) == (1.0, 1.0)
    assert not found.same_space
    assert said(found)["index"].figure == "make it anew"
    assert "must not stand in one index" in said(found)["index"].detail


def test_other_vectors_find_other_texts_and_the_group_that_changed_is_named():
    vectors = random_vectors(0)
    changed = vectors | random_vectors(1, [text for text in WORDS if text.startswith("т")])
    found = compared(vectors, changed)
    by_name = {group.name: group for group in found.groups}
    assert by_name["Cyrillic"].overlap.high < by_name["Latin"].overlap.low
    assert by_name["Latin"].first.count == 60


def test_vectors_of_another_length_are_another_space():
    found = compared(random_vectors(0), random_vectors(1, width=32), width=32)
    assert found.cosine is None
    assert "differ in length" in said(found)["index"].detail


def test_a_threshold_is_moved_so_that_as_many_pairs_reach_it():
    vectors = random_vectors(0)
    # One direction more that all texts share brings every cosine nearer to 1, and keeps its order nearly.
    shared = {
        text: np.append(vector[:-1] / np.linalg.norm(vector[:-1]), 2).astype(np.float32)
        for text, vector in vectors.items()
    }
    found = compared(vectors, shared, thresholds=[0.2])
    (moved,) = [each for each in found.thresholds if each.old == 0.2]
    every = unit(np.array(list(shared.values())))
    cosines = (every @ every.T)[~np.eye(len(every), dtype=bool)]
    assert (cosines >= moved.new).mean() == pytest.approx(moved.above)
    assert moved.new > 0.8


def test_relevant_texts_decide_which_is_better():
    vectors = random_vectors(0)
    asked = [f"query {index}" for index in range(30)]
    good = {query: vectors[WORDS[index]] for index, query in enumerate(asked)}
    queries = texts_of(asked, [{str(index): 1.0} for index in range(30)])
    found = compared(vectors | good, vectors | random_vectors(5, asked), queries)
    old, _, difference = found.gain
    assert old.value == pytest.approx(1.0)
    assert difference.high < 0
    assert said(found)["nDCG@10"].detail.startswith("worse")
    assert all(0 <= choice.quality.value <= 1 for choice in found.choices)


def test_forms_cost_what_they_take_and_lose_what_they_round():
    vectors = random_vectors(0)
    by_title = {each.title: each for each in compared(vectors, vectors).choices}
    whole, bits = by_title["old (fp32), 64 x float32"], by_title["old (fp32), 64 x binary"]
    assert (whole.form.bytes, bits.form.bytes) == (256, 8)
    assert whole.quality.value == 1.0 > bits.quality.value
    assert by_title["old (fp32), 64 x int8"].quality.value > by_title["old (fp32), 32 x int8"].quality.value


def test_forms_are_those_that_the_head_step_makes():
    from encserve_server.steps.head.answers.vectors.text_vectors import finish_vectors, to_bits, to_int8

    vectors = np.random.default_rng(3).standard_normal((9, 64)).astype(np.float32)
    served = finish_vectors(vectors, {"dimensions": 32, "normalize": True})
    assert (Form("int8", 32).of(vectors) == to_int8(served)).all()
    assert (Form("binary", 32).of(vectors) == 2.0 * np.unpackbits(to_bits(served), axis=1) - 1).all()
    assert Form("float32", 32).of(vectors) == pytest.approx(served, abs=1e-6)


def test_relevant_texts_that_are_not_there_are_named(tmp_path):
    vectors = random_vectors(0, [*WORDS, "query"])
    queries = texts_of(["query"], [{"nowhere": 1.0}])
    with pytest.raises(InvalidInput, match="'nowhere'"):
        compared(vectors, vectors, queries)


def test_a_version_that_changes_between_texts_and_queries_ends_the_comparison():
    vectors = random_vectors(0)
    sides = sides_of([pipeline("old", dimensions=WIDTH)] * 2, {"old": vectors_of(vectors)})
    ask = sides[1].embed

    def embed(texts, prompt_name):
        found = ask(texts, prompt_name)
        return replace(found, answer=replace(found.answer, version="2")) if prompt_name == "query" else found

    object.__setattr__(sides[1], "embed", embed)
    with pytest.raises(ContractError, match="version 1 answered the texts and version 2 the queries"):
        compare_embeddings(sides, texts_of(WORDS), None, ())


def test_one_text_has_no_neighbours():
    vectors = random_vectors(0)
    sides = sides_of([pipeline("old", dimensions=WIDTH)] * 2, {"old": vectors_of(vectors)})
    with pytest.raises(InvalidInput, match="two texts"):
        compare_embeddings(sides, texts_of(WORDS[:1]), None, ())
