import json

import pytest

from encserve_export.certificate.limits import PARITY_LIMITS, limits_for, overridden, parse_limits, relaxed
from encserve_export.config import Precision
from encserve_export.errors import InvalidConfig


def test_every_precision_has_limits():
    assert set(PARITY_LIMITS) == set(Precision)


def test_what_is_asked_of_each_precision():
    bf16, int8 = PARITY_LIMITS[Precision.BF16], PARITY_LIMITS[Precision.INT8]
    assert (bf16.cosine_mean, bf16.neighbours, bf16.company_max_abs_diff) == (0.9999, 0.99, 1e-3)
    assert (int8.cosine_mean, int8.neighbours, int8.company_max_abs_diff) == (0.999, 0.97, 1e-3)
    assert bf16.argmax_agreement == int8.argmax_agreement == 0.995
    assert PARITY_LIMITS[Precision.FP32].company_max_abs_diff == 1e-5


def test_limits_come_from_arguments_and_files_later_ones_win(tmp_path):
    file = tmp_path / "limits.json"
    file.write_text(json.dumps({"cosine_min": 0.9, "neighbours": 0.5}))
    assert parse_limits([str(file), "neighbours=0.6"]) == {"cosine_min": 0.9, "neighbours": 0.6}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("cosine_min=high", "cosine_min is 'high', not a number"),
        ("nowhere.json", "neither name=number nor a file"),
    ],
)
def test_what_is_no_limit_is_refused(given, message):
    with pytest.raises(InvalidConfig, match=message):
        parse_limits([given])


@pytest.mark.parametrize("given", ["nan", "inf", "-inf"])
def test_a_limit_that_everything_or_nothing_keeps_is_refused_however_it_was_given(given):
    for limits in (parse_limits([f"max_abs_diff={given}"]), {"max_abs_diff": float(given)}):
        with pytest.raises(InvalidConfig, match=f"--limits max_abs_diff: {given}; a finite number is expected"):
            limits_for(Precision.FP32, limits)


def test_a_file_must_hold_an_object(tmp_path):
    file = tmp_path / "limits.json"
    file.write_text("[1]")
    with pytest.raises(InvalidConfig, match="holds a list, not a JSON object"):
        parse_limits([str(file)])


def test_an_override_replaces_one_limit_and_is_told():
    limits = limits_for(Precision.INT8, {"neighbours": 0.5})
    assert limits.cosine_mean == PARITY_LIMITS[Precision.INT8].cosine_mean
    assert overridden(Precision.INT8, limits) == {"neighbours": {"table": 0.97, "used": 0.5}}
    assert overridden(Precision.INT8, limits_for(Precision.INT8, {})) == {}


def test_an_unknown_limit_is_refused_with_those_there_are():
    with pytest.raises(InvalidConfig, match="--limits cosine: no such limit; the limits are cosine_min, cosine_mean"):
        limits_for(Precision.FP32, {"cosine": 1.0})


def test_a_limit_is_relaxed_where_it_asks_for_less_than_the_table():
    given = {"neighbours": 0.5, "max_abs_diff": 0.5, "cosine_min": 0.9999, "company_max_abs_diff": 0.0}
    assert relaxed(Precision.INT8, limits_for(Precision.INT8, given)) == ["neighbours", "max_abs_diff"]
    assert relaxed(Precision.INT8, limits_for(Precision.INT8, {})) == []
