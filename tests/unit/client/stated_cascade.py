"""What a pipeline says of a cascade."""

from encserve import Cascade

CASCADE = Cascade(
    small="a",
    small_version="1",
    large="b",
    large_version="2",
    threshold=0.1 + 0.2,
    review_threshold=0.75,
    agreement=0.99,
    confidence=0.95,
    escalated=0.25,
)
