"""From the names of adapters that a request gives to a number for each token."""

import numpy as np
import pytest

from encserve_server.steps.request.options import InvalidArgument, OptionRules
from encserve_server.steps.tokenize.adapter_ids import adapter_ids

NUMBERS = {"none": 0, "legal": 1, "medical": 2}
RULE = {"kind": "adapters", "default": "none", "allowed": [*NUMBERS], "by_text": True}
TENSORS = {"lengths": np.array([2, 3, 1])}


def asked(value, **rule):
    return OptionRules({"adapter": RULE | rule}).check({"adapter": value})["adapter"]


def test_one_name_is_that_of_every_token():
    assert adapter_ids(asked("legal"), NUMBERS, TENSORS).tolist() == [1] * 6
    assert OptionRules({"adapter": RULE}).check({}) == {"adapter": "none"}


def test_each_text_has_its_own():
    ids = adapter_ids(asked('["medical", "none", "legal"]'), NUMBERS, TENSORS)
    assert (ids.dtype, ids.tolist()) == (np.int64, [2, 2, 0, 0, 0, 1])


def test_all_windows_of_a_text_have_its_own():
    ids = adapter_ids(asked('["medical", "legal"]'), NUMBERS, {**TENSORS, "window_count": np.array([2, 1])})
    assert ids.tolist() == [2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize("names", ['["legal"]', '["legal", "legal", "legal", "legal"]'])
def test_as_many_names_as_texts(names):
    with pytest.raises(InvalidArgument, match=r"option adapter has [14] names for 3 texts; one for each"):
        adapter_ids(asked(names), NUMBERS, TENSORS)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("fiscal", "option adapter is 'fiscal'; this pipeline has 'none', 'legal', 'medical'"),
        ("", "option adapter is ''; this pipeline has"),
        (1, "option adapter is 1; this pipeline has"),
        ('["none", "fiscal"]', "option adapter has 'fiscal' at 1; this pipeline has 'none', 'legal', 'medical'"),
        ('["none", 1]', "it must be a JSON list of strings"),
        ("[" * 100_000, "it must be a JSON list of strings"),
    ],
)
def test_names_that_are_not_there_are_refused_with_those_that_are(value, message):
    with pytest.raises(InvalidArgument, match=message):
        asked(value)


def test_where_a_request_has_one_answer_it_has_one_adapter():
    with pytest.raises(InvalidArgument, match="takes one name for all texts of a request"):
        asked('["legal"]', by_text=False)
