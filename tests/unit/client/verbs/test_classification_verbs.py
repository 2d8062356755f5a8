"""`classify` and `classify_zero_shot`: what they send, and what they make of the answer."""

import json
from dataclasses import replace

import numpy as np
import pytest
from unit.client.stated_cascade import CASCADE
from unit.client.verbs.conftest import texts_of

from encserve import ContractError, InvalidInput
from encserve.testing import fake_pipeline

CLASSES = fake_pipeline(task="text-classification", labels=("a", "ä"))
PAIRS = fake_pipeline(task="text-classification", labels=("a", "ä"), pairs=True)
TOKENS = fake_pipeline(task="token-classification")
ZERO = fake_pipeline(task="zero-shot-classification")


def classes(request):
    n, k = len(request.inputs["text"]), request.parameters.get("top_k", 2)
    return {
        "label": np.array([[["ä".encode(), b"a"][:k]] * n], object),
        "score": np.array([[[len(text), 0.5][:k] for text in request.inputs["text"]]], np.float32),
    }


class TestClassify:
    def test_lists_are_split_and_joined(self, ask):
        result, requests = ask(CLASSES, classes, "classify", ["x", "yy", "zzz"])
        assert result.labels == [("ä", "a")] * 3
        assert result.scores.tolist() == [[1, 0.5], [2, 0.5], [3, 0.5]]
        assert result.token_counts.tolist() == [2, 3, 2]
        assert (result.model, result.version, len(result)) == ("fake", "1", 3)
        assert [texts_of(request) for request in requests] == [["x", "yy"], ["zzz"]]
        assert requests[0].outputs == ("label", "score", "token_count", "dropped_count")

    def test_options(self, ask):
        result, requests = ask(CLASSES, classes, "classify", ["x"], top_k=1, truncate="start")
        assert result.scores.shape == (1, 1)
        assert requests[0].parameters == {"top_k": 1, "truncate": "start"}

    def test_probabilities_stand_beside_scores(self, ask):
        def calibrated(request):
            answer = classes(request)
            return {**answer, "score": np.concatenate([answer["score"], answer["score"] / 4], axis=-1)}

        result, requests = ask(CLASSES, calibrated, "classify", ["x", "yy", "zzz"], probabilities=True)
        assert requests[0].parameters == {"probabilities": True}
        assert result.scores.tolist() == [[1, 0.5], [2, 0.5], [3, 0.5]]
        assert result.probabilities.tolist() == [[0.25, 0.125], [0.5, 0.125], [0.75, 0.125]]
        assert ask(CLASSES, classes, "classify", ["x"])[0].probabilities is None
        with pytest.raises(ContractError, match="tensor 'score' has shape"):
            ask(CLASSES, classes, "classify", ["x"], probabilities=True)
        assert ask(CLASSES, calibrated, "classify", [], probabilities=True)[0].probabilities.shape == (0, 2)

    def test_who_decided_is_asked_of_cascades_alone(self, ask):
        def decided(request):
            texts = request.inputs["text"]
            return {**classes(request), "decision": np.array([[b"small", b"review"][: len(texts)]], object)}

        result, requests = ask(replace(CLASSES, cascade=CASCADE), decided, "classify", ["x", "yy", "zzz"])
        assert result.decisions == ["small", "review", "small"]
        assert requests[0].outputs == ("label", "score", "decision", "token_count", "dropped_count")
        assert ask(CLASSES, classes, "classify", ["x"])[0].decisions is None
        assert ask(replace(CLASSES, cascade=CASCADE), decided, "classify", [])[0].decisions == []
        with pytest.raises(ContractError, match="the answer has no tensor 'decision'"):
            ask(replace(CLASSES, cascade=CASCADE), classes, "classify", ["x"])

    def test_windows_are_reported(self, ask):
        def windows(request):
            return {**classes(request), "window_count": np.full((1, len(request.inputs["text"])), 3, np.int32)}

        result, requests = ask(CLASSES, windows, "classify", ["x", "y", "z"], long_text="chunk", overlap=0)
        assert result.window_counts.tolist() == [3, 3, 3]
        assert requests[0].parameters == {"long_text": "chunk", "overlap": 0}
        assert requests[0].outputs[-1] == "window_count"
        assert ask(CLASSES, classes, "classify", ["x"])[0].window_counts.tolist() == [1]
        with pytest.raises(InvalidInput, match="long_text is 'whole', expected one of 'truncate', 'chunk'"):
            ask(CLASSES, windows, "classify", ["x"], long_text="whole")

    def test_pairs(self, ask):
        _, requests = ask(PAIRS, classes, "classify", ["a", "b", "c"], text_pairs=iter(["x", "y", "z"]))
        assert [texts_of(request, "text_pair") for request in requests] == [["x", "y"], ["z"]]

    def test_nothing(self, ask):
        result, requests = ask(CLASSES, classes, "classify", [])
        assert (result.labels, result.scores.shape, requests) == ([], (0, 2), [])

    @pytest.mark.parametrize(
        ("pipeline", "options", "message"),
        [
            (CLASSES, {"text_pairs": ["x"]}, "takes single texts, no pairs"),
            (PAIRS, {}, "wants a second text for each"),
            (PAIRS, {"text_pairs": ["x", "y"]}, "texts and text_pairs differ in number: 1 and 2"),
            (PAIRS, {"text_pairs": "x"}, "text_pairs is a single str"),
            (PAIRS, {"text_pairs": [None]}, "text_pair 0 is NoneType"),
            (CLASSES, {"top_k": 0}, "top_k is 0, expected a positive int"),
            (TOKENS, {}, "is for token-classification, classify needs text-classification"),
        ],
    )
    def test_refused(self, ask, pipeline, options, message):
        with pytest.raises(InvalidInput, match=message):
            ask(pipeline, classes, "classify", ["x"], **options)

    def test_too_few_labels_break_the_contract(self, ask):
        with pytest.raises(ContractError, match=r"'label' has shape \[1, 1, 1\], the contract promises \[1, 1, 2\]"):
            ask(CLASSES, lambda request: {"label": np.array([[[b"a"]]], object)}, "classify", ["x"])


class TestClassifyZeroShot:
    @staticmethod
    def answer(request):
        labels = [label.encode() for label in json.loads(request.parameters["labels"])]
        n = len(request.inputs["text"])
        return {"label": np.array([[labels] * n], object), "score": np.ones((1, n, len(labels)), np.float32)}

    def test_labels_travel_as_json_and_count_as_texts(self, ask):
        result, requests = ask(
            ZERO,
            self.answer,
            "classify_zero_shot",
            ["a", "b", "c"],
            ["x", "ä", "z"],
            multi_label=True,
            settings={"texts_per_request": 6},
        )
        assert result.labels == [("x", "ä", "z")] * 3
        assert result.scores.shape == (3, 3)
        assert requests[0].parameters == {"labels": '["x", "ä", "z"]', "multi_label": True}
        assert [len(request.inputs["text"]) for request in requests] == [2, 1]

    @pytest.mark.parametrize(
        ("labels", "message"),
        [([], "labels is empty"), ("x", r"labels is a single str, .*: pass \[label\]"), ([1], "label 0 is int")],
    )
    def test_refused(self, ask, labels, message):
        with pytest.raises(InvalidInput, match=message):
            ask(ZERO, self.answer, "classify_zero_shot", ["a"], labels)
