"""What an export looks at while it makes and chooses: its own part of the corpus, and never what is held out."""

from dataclasses import replace

import numpy as np
import pytest
import transformers

from encserve_export.certificate.figures.neighbours import related_texts
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig
from encserve_export.texts import calibration, trial_texts
from encserve_export.texts.parts import Part, corpus_of
from encserve_export.texts.rows import rows_about
from export.small_checkpoints import make_checkpoint


@pytest.fixture
def asked(monkeypatch):
    """The texts that calibration and choices ask about, by module."""
    texts = {}
    for module in (calibration, trial_texts):

        def noted(checkpoint, asked, module=module):
            texts.setdefault(module, []).extend(asked)
            return rows_about(checkpoint, asked)

        monkeypatch.setattr(module, "rows_about", noted)
    return texts


def lines_of(texts):
    return {line for text in texts for line in text.split("\n") if len(line) > 12}


def test_calibration_and_choice_read_their_own_part(export_config, asked):
    checkpoint = load_checkpoint(export_config)
    made = calibration.calibrate(export_config, checkpoint)
    trial_texts.trial_packs(checkpoint)
    assert made.held_out == ()
    known = {part: lines_of(each.text for each in corpus_of(part).texts) for part in Part}
    calibrated, tried = lines_of(asked[calibration]), lines_of(asked[trial_texts])
    assert len(calibrated & known[Part.CALIBRATION]) > 250
    assert len(tried & known[Part.CHOICE]) > 15
    assert not calibrated & (known[Part.CHOICE] | known[Part.CERTIFICATE])
    assert not tried & (known[Part.CALIBRATION] | known[Part.CERTIFICATE])
    assert lines_of(related_texts(200)) <= known[Part.CERTIFICATE]


def test_what_is_held_out_of_a_file_is_not_calibrated_with(export_config, asked, tmp_path):
    file = tmp_path / "own.txt"
    texts = [f"parcel {number} waits behind the blue door of the depot until noon" for number in range(90)]
    file.write_text("\n".join([*texts, *(text.upper() for text in texts[:30])]))
    made = calibration.calibrate(replace(export_config, calibration=file), load_checkpoint(export_config))
    assert {*asked[calibration]} | {*made.held_out} == {*texts}
    assert not {*asked[calibration]} & {*made.held_out}
    assert len(made.held_out) == 30
    record = made.record
    assert (record["repeated"], record["texts"], record["held_out"]["texts"]) == (30, 60, 30)


ENTAILMENT = {"id2label": {0: "contradiction", 1: "entailment"}, "label2id": {"contradiction": 0, "entailment": 1}}


def test_ways_are_chosen_on_texts_of_all_lengths_also_where_a_text_has_several_rows(tmp_path):
    """Of a zero-shot classifier each text has a row for each label, and rows come with the shortest text first."""
    network = transformers.AutoModelForSequenceClassification
    folder = make_checkpoint(tmp_path / "checkpoint", network=network, **ENTAILMENT)
    checkpoint = load_checkpoint(ExportConfig(checkpoint=str(folder), name="tiny", task="zero-shot-classification"))
    packs = trial_texts.trial_packs(checkpoint)
    ordinary = [len(pack["input_ids"]) for pack in packs[: trial_texts.ORDINARY_TEXTS]]
    rows = rows_about(checkpoint, [each.text for each in trial_texts.ordinary_texts(checkpoint.max_length)])
    lengths = [len(ids) for ids, _ in rows]
    assert len(rows) == 2 * trial_texts.ORDINARY_TEXTS
    assert (min(ordinary), max(ordinary)) == (min(lengths), max(lengths))
    assert np.mean(ordinary) == pytest.approx(np.mean(lengths), rel=0.05)
    second_texts = [pack["token_type_ids"].sum() for pack in packs[: trial_texts.ORDINARY_TEXTS]]
    assert max(second_texts) < 16, "the types are those of the tokenizer: of hypotheses, which are short"
    assert len(packs) == trial_texts.ORDINARY_TEXTS + len(checkpoint.tokenizer.all_special_ids) + 8 + 2
