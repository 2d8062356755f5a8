"""Which texts a certificate asks, and how many."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from encserve_export.texts.parts import Part, corpus_of
from encserve_export.texts.sampling import spread_order

LEAST = 200
"""The number of texts that every certificate asks about, however long that takes."""
RELATED = 200
"""The number of texts, at most, among which each has its nearest ones, where vectors are for searches."""
SECONDS = 30.0
"""Once a certificate has taken so long, the library and the pipeline together, it asks about no further texts: so an
export stays within a minute where it can."""


@dataclass(frozen=True, kw_only=True)
class CertificateTexts:
    """Where the texts come from."""

    full: bool = False
    """Whether all of the corpus is asked, however long it takes."""
    own: Sequence[str] = ()
    """The user's own texts, which nothing that was made has seen."""
    own_record: dict[str, Any] = field(default_factory=dict)
    """What the manifest says of them."""

    def first(self, longest_tokens: int) -> list[str]:
        """The texts that are asked about in any case: `LEAST` of all kinds, up to `longest_tokens` tokens long."""
        sample = corpus_of(Part.CERTIFICATE).sample(None if self.full else LEAST, longest_tokens=longest_tokens)
        return list(dict.fromkeys(each.text for each in sample))

    def further(self, longest_tokens: int, asked: Collection[str]) -> list[str]:
        """The other texts of the corpus, in an order of which any beginning has all kinds."""
        known = {*asked}
        whole = corpus_of(Part.CERTIFICATE).sample(longest_tokens=longest_tokens)
        return [each.text for each in spread_order(whole, 0) if each.text not in known]

    @property
    def record(self) -> dict[str, Any]:
        """What the manifest says of the corpus."""
        corpus = corpus_of(Part.CERTIFICATE)
        return {"part": Part.CERTIFICATE.value, "texts": len(corpus.texts), "sha256": corpus.sha256}
