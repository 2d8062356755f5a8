"""An export with texts whose labels are known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import transformers

from encserve_export.certificate.subject.composed import ComposedPipeline
from encserve_export.checkpoint.tasks.table import TASKS
from encserve_export.checkpoint.tasks.task import graph_outputs
from encserve_export.engines.python_backend.in_process import InProcessStep
from encserve_export.errors import InvalidConfig
from encserve_export.export import export
from encserve_export.reference.messages import Asked

from .small_checkpoints import make_checkpoint

WORDS = ("card", "parcel", "storm", "harbour", "ferry", "invoice")


def classifier(folder, **config):
    named = {"id2label": {0: "good", 1: "bad"}, "label2id": {"good": 0, "bad": 1}}
    network = transformers.AutoModelForSequenceClassification
    return str(make_checkpoint(folder, network=network, num_hidden_layers=1, **named, **config))


@pytest.fixture
def labels(tmp_path):
    """Texts whose labels the network of random weights cannot know."""
    file = tmp_path / "labels.jsonl"
    texts = [f"{WORDS[number % 6]} {number}" for number in range(150)]
    file.write_text(
        "\n".join(json.dumps({"text": text, "label": ["good", "bad"][number % 2]}) for number, text in enumerate(texts))
    )
    return file


def test_a_temperature_is_in_the_certificate_and_in_what_is_served(export_config, tmp_path, labels):
    config = replace(export_config, checkpoint=classifier(tmp_path / "labelled"), labels=labels)
    manifest = export(config)
    confidence = manifest.parity["confidence"]
    assert confidence["texts"]["fitted"] == 100
    assert confidence["after"]["log_loss"] <= confidence["before"]["log_loss"] + 0.01
    assert manifest.option_defaults["probabilities"] is False
    folders = {step: config.repository / f"tiny_{step}" / "1" for step in ("tokenize", "encode", "head")}
    with InProcessStep(folders["encode"]) as step:
        pipeline = ComposedPipeline(
            TASKS["text-classification"], folders, step, graph_outputs(TASKS["text-classification"], "")
        )
        asked = Asked({"text": ["a parcel"]}, {"probabilities": True})
        (said,) = pipeline.ask([asked], manifest.graph_inputs)
    ((answer,),) = said.answers
    scores, probabilities = np.split(answer.numbers, 2)
    sharpened = scores ** (1 / confidence["temperature"])
    assert probabilities.tolist() == pytest.approx((sharpened / sharpened.sum()).tolist(), rel=1e-4)


def test_labels_that_share_no_probability_are_refused(export_config, tmp_path, labels):
    several = classifier(tmp_path / "several", problem_type="multi_label_classification")
    for checkpoint, task in ((several, "text-classification with sigmoid"), (export_config.checkpoint, "feature-ext")):
        with pytest.raises(InvalidConfig, match=f"--labels is for text-classification whose .* this is {task}"):
            export(replace(export_config, checkpoint=checkpoint, labels=labels))
