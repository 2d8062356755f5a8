"""GLiNER2 behind a real server: entities of the labels of a call, as the library finds them."""

import pytest
from export.gliner2.test_gliner2_entities import ASKED, GOLDEN, LABELS, TEXTS, options_of, told

from encserve import InvalidInput
from encserve_export.verify import verify

SEEN = GOLDEN["cases"]["a GRU"]["answers"]
pytestmark = [
    pytest.mark.slow,  # a pipeline of its own; its steps and its export are asked without a server
    pytest.mark.parametrize("model", ["entities-gliner2"]),
]


@pytest.mark.parametrize("asked", ASKED)
def test_the_entities_are_those_of_the_library(client, model, asked):
    options = {**options_of(ASKED[asked]), **ASKED[asked]}
    options = {name: options[name] for name in options if name not in ("labels", "overlap_policy")}
    answer = client.extract_entities(TEXTS, LABELS, model=model, **options)
    for text, ours, theirs in zip(TEXTS, answer.entities, SEEN[asked], strict=True):
        right = told(text, theirs)
        assert [(each.start, each.end, each.label) for each in ours] == [
            (each["start"], each["end"], each["label"]) for each in right
        ]
        assert [each.score for each in ours] == pytest.approx([each["confidence"] for each in right], abs=1e-5)
    assert not answer.dropped_counts.any()


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["a", "b [P]"], {}, "label 1 has a token in it that stands around labels"),
        (["a"], {"multi_label": True}, "unknown option 'multi_label'"),
    ],
)
def test_what_is_wrong_is_named(client, model, labels, options, message):
    with pytest.raises(InvalidInput, match=message):
        client.extract_entities(["a"], labels, model=model, **options)


def test_a_server_answers_as_certified(client, model, repository):
    assert verify(client._transport, model, repository, timeout_s=300).complaints == []
