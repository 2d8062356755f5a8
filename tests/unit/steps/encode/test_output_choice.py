"""Outputs that a request does without, where one pass of the network gives several."""

import numpy as np
import pytest

from encserve_server.steps.encode.choice import OutputChoice
from encserve_server.steps.request.options import InvalidArgument

CHOICE = OutputChoice({"vector": {"option": "dense", "columns": 3}, "weight": {"option": "sparse", "columns": 1}})
OFFERED = ("vector", "weight")


def test_all_are_wanted_unless_a_flag_says_otherwise():
    chosen = CHOICE.of(OFFERED, {})
    assert chosen.outputs == OFFERED
    assert not chosen.none
    chosen = CHOICE.of(OFFERED, {"dense": False, "sparse": True})
    assert chosen.outputs == ("weight",)
    assert {name: rows.shape for name, rows in chosen.none.items()} == {"vector": (0, 3)}
    assert chosen.none["vector"].dtype == np.float32


def test_none_at_all_is_refused():
    with pytest.raises(InvalidArgument, match="none of dense, sparse is true; one at least must be"):
        CHOICE.of(OFFERED, {"dense": False, "sparse": False})
    with pytest.raises(InvalidArgument, match="none of dense is true"):
        CHOICE.of(("vector",), {"dense": False})


def test_a_graph_with_one_output_has_no_choice():
    assert OutputChoice.from_settings({}).of(("logits",), {"dense": False}).outputs == ("logits",)
