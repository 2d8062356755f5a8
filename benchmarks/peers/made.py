"""What stands for the words in braces in the arguments of processes; made when it is asked for."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks import exported


class Made:
    """Exports of this run's own code in `work`, and forms of the checkpoint that are kept from run to run."""

    def __init__(self, work: Path, repository: Path | None, options: tuple[str, ...] = ()) -> None:
        """`repository` is served in place of a fresh FP32 export; `options` are of every export."""
        self._work, self._repository, self._options = work, repository, options

    def fill(self, argument: str) -> str:
        """The argument, or the path of what it stands for.

        Raises:
            SystemExit: that cannot be made here; says why.
        """
        if not (argument.startswith("{") and argument.endswith("}")):
            return argument
        word, *rest = re.split(" +", argument[1:-1])
        match word, rest:
            case "encserve", options:
                return str(self.exported(*options))
            case "checkpoint", []:
                return str(exported.CHECKPOINT)
            case "sentence-transformers", [kind]:
                return str(exported.sentence_transformers_folder(kind))
            case "hub", []:
                return str(exported.hub_folder())
            case "ctranslate2", []:
                return str(exported.ctranslate2_folder())
            case "openvino-genai", [precision]:
                return str(exported.openvino_genai_folder(precision))
        raise ValueError(f"nothing is made of {argument}")

    def exported(self, *options: str) -> Path:
        """The model repository of an export with options."""
        if self._repository and not options:
            return self._repository
        return exported.pipeline(self._work, *options, *self._options, checkpoint=exported.CHECKPOINT)
