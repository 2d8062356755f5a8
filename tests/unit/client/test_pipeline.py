import json

import pytest
from unit.client.stated_cascade import CASCADE

from encserve import ContractError, PipelineInfo
from encserve.testing import fake_pipeline


def test_round_trip():
    pipeline = fake_pipeline(prompt_names=("query", "passage"), option_defaults={"truncate": "end", "normalize": True})
    parameters = pipeline.to_parameters()
    assert all(isinstance(value, str) for value in parameters.values())
    assert PipelineInfo.from_parameters("fake", parameters, version="1") == pipeline


def test_a_cascade_goes_there_and_back_to_the_last_bit():
    parameters = fake_pipeline(cascade=CASCADE).to_parameters()
    assert PipelineInfo.from_parameters("fake", parameters, version="1").cascade == CASCADE
    more = json.dumps({**json.loads(parameters["cascade"]), "later": 1})
    assert PipelineInfo.from_parameters("fake", parameters | {"cascade": more}).cascade == CASCADE
    assert "cascade" not in fake_pipeline().to_parameters()


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_malformed_cascade(text):
    with pytest.raises(ContractError, match="no valid parameter 'cascade'"):
        PipelineInfo.from_parameters("fake", fake_pipeline().to_parameters() | {"cascade": text})


def test_another_model():
    with pytest.raises(ContractError, match="'resnet' is not an encserve pipeline"):
        PipelineInfo.from_parameters("resnet", {})


def test_another_contract_version():
    parameters = fake_pipeline().to_parameters() | {"encserve_contract": "7"}
    with pytest.raises(ContractError, match="speaks version 7 of the contract, this SDK version 1"):
        PipelineInfo.from_parameters("fake", parameters)


@pytest.mark.parametrize(
    ("key", "value"), [("dimensions", "many"), ("prompt_names", "{"), ("option_defaults", "3"), ("task", None)]
)
def test_malformed(key, value):
    parameters = fake_pipeline().to_parameters()
    del parameters[key]
    if value is not None:
        parameters[key] = value
    with pytest.raises(ContractError, match=f"no valid parameter '{key}': {value!r}"):
        PipelineInfo.from_parameters("fake", parameters)
