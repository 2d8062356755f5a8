"""What two pipelines must have in common to be a cascade, and what one can ask of both."""

import pytest
from toy_manifest import toy_manifest

from encserve_export.cascade.members import MemberPipeline, check_pair, common_limits, common_options
from encserve_export.errors import Unsupported


def whole(default, most):
    return {"kind": "whole", "default": default, "least": 1, "most": most}


def member(name="a", *, options=(), **changes):
    manifest = toy_manifest(name, 1, {}, **{"labels": ["x", "y"], "limits": {"max_length": 9}} | changes)
    return MemberPipeline(manifest=manifest, certificate="c", options=dict(options), activation="softmax")


def test_options_are_those_that_both_have_alike():
    flag, text = {"kind": "flag", "default": False}, {"kind": "choice", "default": "end", "allowed": ["end", "start"]}
    small = {"fresh": flag, "truncate": text, "top_k": whole(None, 4), "overlap": whole(8, 64), "probabilities": flag}
    large = {**small, "top_k": whole(None, 3), "overlap": whole(16, 64), "extra": flag}
    offered = common_options(member(options=small), member(options=large))
    assert offered == {"fresh": flag, "truncate": text, "top_k": whole(None, 3)}
    other_side = {**small, "truncate": text | {"default": "start"}}
    assert "truncate" not in common_options(member(options=small), member(options=other_side))


def test_limits_are_the_least_of_both():
    small, large = member(limits={"max_length": 64, "n": 9}), member(limits={"max_length": 32, "n": 10})
    assert common_limits(small, large) == {"max_length": 32, "n": 9}


def test_labels_may_have_another_order_and_no_other_names():
    check_pair(member(), member("b", labels=["y", "x"]))
    with pytest.raises(Unsupported, match="a 1 has the labels x, y, b 1 has x, z; a cascade is of two with the same"):
        check_pair(member(), member("b", labels=["x", "z"]))
    with pytest.raises(Unsupported, match="one of a 1 and b 1 is for pairs of texts"):
        check_pair(member(), member("b", pairs=True))
