"""What holds of an engine unless it says otherwise, so that a new one states what is peculiar to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from encserve_export.config import ExportConfig, Precision
from encserve_export.errors import Unsupported
from encserve_repository.manifest import Manifest

from .engine import EncodeEngine, Say


class PlainEngine:
    """A part of engines, by their protocol `EncodeEngine`."""

    def unavailable(self) -> str:
        """Nothing is in the way of making it."""
        return ""

    def on_this_host(self: EncodeEngine, say: Say) -> Sequence[EncodeEngine]:
        """Itself: it has one form."""
        return [self]

    @property
    def answers_none(self) -> bool:
        """No: a backend is given texts, or fails."""
        return False

    def token_budget(self, asked: int | None) -> int | None:
        """None: it computes each batch as one pack, or cuts it by itself."""
        return None

    def looks_at_texts(self: EncodeEngine, precision: Precision) -> bool:
        """As the precision is made."""
        return self.precisions[precision].calibrated

    def emulates(self, precision: Precision) -> bool:
        """No: what a certificate is taken of is what is served."""
        return False

    def serves_as_here(self: EncodeEngine, precision: Precision) -> bool:
        """Where it runs on what it is for."""
        if self.measured_on == "gpu":
            return True
        return not self.emulates(precision) and not self.requirements(precision, {}).gpu

    def tried_by_auto(self: EncodeEngine, precision: Precision) -> bool:
        """Not where only a GPU rounds as the precision says."""
        return self.precisions[precision].imitation is None

    def tokenize_settings(self, graph_inputs: Sequence[str]) -> Mapping[str, Any]:
        """It says nothing of its load."""
        return {"marker": graph_inputs}

    def check_heads(self: EncodeEngine, longest: Mapping[str, int], *, masks: bool) -> None:
        """Rows of masks beside other heads were tried with engine python alone."""
        if masks:
            raise Unsupported(f"a head for fill-mask beside others needs --engine python, not {self.name}")

    def ahead(self, config: ExportConfig) -> ExportConfig | None:
        """None: it takes no longer to make than others."""
        return None

    def warmup_files(self, manifest: Manifest) -> dict[str, bytes]:
        """None: the step loads what it needs by itself."""
        return {}
