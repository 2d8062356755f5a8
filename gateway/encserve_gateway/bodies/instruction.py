"""What documents are to be judged by, as clients of vLLM say it of a model that is asked in words."""

from __future__ import annotations

from encserve import PipelineInfo

from .fields import Fields

NAME = "instruction"


def read_instruction(fields: Fields, pipeline: PipelineInfo) -> str | None:
    """The instruction of a request, "" for what the model is told by itself; None where there is none.

    Raises:
        Fault: it is no text, or the model takes none, so that its scores would be those of another question.
    """
    instruction = fields.text(NAME)
    if instruction is not None and NAME not in pipeline.option_defaults:
        raise fields.wrong(NAME, "is there, and this model takes none: it is not asked in words")
    return instruction


def refuse_instruction(fields: Fields) -> None:
    """Refuse one at a route whose own service has no such field, and would pass it over. Raises Fault."""
    if NAME in fields:
        raise fields.wrong(NAME, "is no field of this route; /v1/rerank, and our own /v1/text-ranking, have it")
