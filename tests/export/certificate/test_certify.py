"""Every task, certified against the library."""

import numpy as np
import pytest
from tests.integration.tasks.pipelines import BREADTH, PIPELINES

from encserve_export.certificate.limits import BY_JUDGEMENT
from encserve_export.errors import WayFailed

from .staged import TorchEncoder

READ = [pytest.param(name, marks=[pytest.mark.slow] if name in BREADTH else []) for name in PIPELINES]


@pytest.mark.parametrize("name", READ)
def test_a_pipeline_that_reads_its_checkpoint_rightly_is_certified(name, staged_of):
    parity = staged_of(name).certify()
    assert parity["texts"] == 200, "each once, however often it was asked with options"
    assert len(parity["token_counts"]) == 200 + parity["variants"]
    assert {"answers_max_abs_diff"} <= {*parity["limits_by_judgement"]} <= {*BY_JUDGEMENT}
    figures = {figure: each["measured"] for figure, each in parity["figures"].items()}
    assert figures["answers_max_abs_diff"] < 1e-5
    assert figures["max_abs_diff"] < 1e-5
    assert figures["nonfinite_lengths"] == 0


class Leaking(TorchEncoder):
    """Lets a text's rows depend on whether others are in its request; each request is a batch of its own, as where one
    takes all the memory that a batch may have."""

    def _rows(self, network, pack, outputs):
        rows = super()._rows(network, pack, outputs)
        return {name: each * np.float32(1 + 3e-5 * (len(pack["lengths"]) > 1)) for name, each in rows.items()}


def test_the_company_of_a_text_is_in_its_own_request_too(staged_of):
    staged = staged_of("classify-bert")
    with pytest.raises(WayFailed, match=r"^company_max_abs_diff is [0-9.e-]+, must be at most 1e-05$"):
        staged.certify(Leaking(staged.checkpoint))
