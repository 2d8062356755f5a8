"""That a text's rows depend on no other: on how many texts that was seen, and what is seen."""

from types import SimpleNamespace

import numpy as np
import pytest

from encserve_export.certificate.certify import by_itself
from encserve_export.certificate.limits import PARITY_LIMITS
from encserve_export.certificate.subject.examination import Examination
from encserve_export.config import Precision

TEXTS = [{"input_ids": np.arange(length)} for length in (3, 5, 8)]


def by_itself_of(pipeline, texts):
    examination = Examination(task=SimpleNamespace(logits=False), texts=texts)
    checkpoint = SimpleNamespace(max_length=8)
    asked = SimpleNamespace(pipeline=pipeline, subject=SimpleNamespace(checkpoint=checkpoint))
    return by_itself(asked, examination, PARITY_LIMITS[Precision.FP32])


class Pipeline:
    """Gives each text the mean of its tokens."""

    def by_output(self):
        return [self]

    def encode(self, texts):
        return [np.array([[1, text["input_ids"].mean()]], np.float32) for text in texts]

    def encode_together(self, texts):
        return self.encode(texts)


def test_a_text_that_is_asked_again_with_options_counts_once():
    """With many options the same rows of tokens are there many times."""
    company, lengths = by_itself_of(Pipeline(), TEXTS * 30)
    assert (company.name, company.texts, company.measured) == ("company_max_abs_diff", 3, 0)
    assert (lengths.name, lengths.texts, lengths.measured) == ("nonfinite_lengths", 8, 0)


@pytest.mark.parametrize("spoiled", [3, 5, 8])
def test_nan_that_a_text_gives_beside_others_alone_is_seen_whichever_text_it_is(spoiled):
    class Spoiled(Pipeline):
        def encode(self, texts):
            wrong = [len(texts) > 1 and len(text["input_ids"]) == spoiled for text in texts]
            return [np.where(nan, np.nan, rows) for nan, rows in zip(wrong, super().encode(texts), strict=True)]

    company, _ = by_itself_of(Spoiled(), TEXTS)
    assert np.isnan(company.measured)
    assert not company.holds
