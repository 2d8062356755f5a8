"""A real Triton, asked for the texts that its pipelines were certified with, in each precision."""

import pytest
from published_t5 import FEW, SLOW_BUT_INT8

from encserve import GrpcTransport
from encserve_export.generation.certificate.requests import SEARCHED_EVERY
from encserve_export.verify import verify

PIPELINES = [
    pytest.param("t5", 64, id="t5"),
    *(pytest.param(f"t5_{each.id}", FEW, marks=each.marks, id=f"t5_{each.id}") for each in SLOW_BUT_INT8),
]
"""And how many texts each was certified with."""


@pytest.mark.parametrize(("name", "texts"), PIPELINES)
def test_a_server_gives_the_texts_that_were_certified(generating, name, texts):
    transport = GrpcTransport(generating.grpc_url)
    try:
        found = verify(transport, name, generating.config.repository, timeout_s=60)
    finally:
        transport.close()
    assert found.complaints == []
    asked = texts + texts // SEARCHED_EVERY
    assert found.asked == {"corpus": texts, "beams": texts // SEARCHED_EVERY, "alone": -(-asked // 4)}
    measured = {figure.name: figure.measured for figure in found.figures}
    assert (measured["texts_as_certified"], measured["company_identical"]) == (1, 1)
