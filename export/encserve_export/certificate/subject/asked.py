"""A pipeline that is to be certified, asked side by side with the library."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from encserve_export.adapters.lora import Adapter
from encserve_export.adapters.parametrized import tasks_in
from encserve_export.certificate.reference_process import ReferenceProcess
from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.checkpoint.sentence.listed import network_folder
from encserve_export.checkpoint.tasks.task import graph_outputs
from encserve_export.checkpoint.tokenizer import with_tokens
from encserve_export.config import ExportConfig
from encserve_export.engines.served_encoder import ServedEncoder
from encserve_export.errors import CertificateFailed
from encserve_export.json_file import read_object
from encserve_export.reference.messages import Asked, Library
from encserve_export.texts.questions import ALONE_IN_ITS_ROW, Form, questions_of

from .composed import ComposedPipeline
from .examination import Examination

_TOGETHER = 4
"""How many requests are under way at once; what both say to them is kept in memory."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A pipeline out of a checkpoint."""

    checkpoint: Checkpoint
    reference: Library
    """What the library is told of the checkpoint."""
    folders: dict[str, Path]
    """The version folders of its steps."""
    head: str = ""
    """The name of its head, where it shares the encode step with others."""
    adapter: str = ""
    """The adapter that every request asks for; empty for none, where requests say nothing of it."""
    prompt_name: str | None = None
    """The prompt that comes with that adapter, which the library is asked for by its name."""

    def with_adapter(self, adapter: Adapter) -> Subject:
        """The same pipeline, asked for an adapter, beside the library with that merged into the weights: out of the
        checkpoint as it was, where the adapter was among its weights."""
        checkpoint = self.checkpoint
        laid_out = checkpoint.folder != checkpoint.original and checkpoint.folder in adapter.folder.parents
        among_weights = laid_out and adapter.name in tasks_in(checkpoint.original)
        task_of = (checkpoint.original, adapter.name) if among_weights else None
        reference = replace(self.reference, adapter=adapter.folder, task_of=task_of)
        return replace(self, adapter=adapter.name, prompt_name=adapter.prompt_name, reference=reference)


def library_of(checkpoint: Checkpoint, config: ExportConfig) -> Library:
    """What the library is told: where the checkpoint lies, what it is asked for, and what the user has chosen."""
    if checkpoint.entities:  # which reads the files of the checkpoint, and no length in them
        return Library(
            folder=checkpoint.original,
            task=checkpoint.task.name,
            base=checkpoint.base.folder if checkpoint.base else None,
            max_length=checkpoint.max_length,
            allow_pickle=config.allow_pickle,
        )
    network = network_folder(checkpoint.folder).relative_to(checkpoint.folder)  # where it lies in the original too
    stated, read = (
        str(read_object(folder / network / "config.json").get("model_type"))
        for folder in (checkpoint.original, checkpoint.folder)
    )
    return Library(
        folder=checkpoint.folder,
        translated_from=None if stated == read else stated,
        task=checkpoint.task.name,
        max_length=config.max_length,
        code=checkpoint.code,
        allow_pickle=config.allow_pickle,
    )


def pipeline_of(subject: Subject, encoder: ServedEncoder) -> ComposedPipeline:
    """The pipeline in this process, with its encode step as it will be served."""
    task = subject.checkpoint.task
    return ComposedPipeline(task, subject.folders, encoder, graph_outputs(task, subject.head))


class AskedSubject:
    """A pipeline and the library, which get the same requests."""

    def __init__(self, subject: Subject, encoder: ServedEncoder, process: ReferenceProcess) -> None:
        """`encoder` is the pipeline's encode step as it will be served."""
        self.subject = subject
        self.pipeline = pipeline_of(subject, encoder)
        self.by = ""
        """The class of the library that answered, with its version; empty before it was asked."""
        self._process = process

    @property
    def form(self) -> Form:
        """What requests of the pipeline look like."""
        checkpoint, task = self.subject.checkpoint, self.subject.checkpoint.task
        mask = checkpoint.tokenizer.mask_token or ""
        return Form.within(self.pipeline.limits, task=task.name, layout=task.layout, mask_token=mask)

    def about(
        self, texts: Sequence[str], options: Sequence[Mapping[str, Any]] = (), *, one_by_one: bool = False
    ) -> Examination:
        """Ask both about `texts`, but for those of no tokens, each in a request of its own if `one_by_one`; about some
        of them again with each of `options`.

        Raises:
            CertificateFailed: one of them does not answer, or they differ in more than numbers.
        """
        examination = Examination(task=self.subject.checkpoint.task)
        texts = self._with_tokens(texts)
        form = replace(self.form, texts_per_request=1) if one_by_one else self.form
        requests = questions_of(form, texts, options)
        for begin in range(0, len(requests), _TOGETHER):
            self._ask(examination, requests[begin : begin + _TOGETHER])
        return examination

    def further(self, examination: Examination, texts: Sequence[str], *, until_s: float) -> None:
        """Ask about `texts` as well, as many as there is time for: until the clock `time.monotonic` shows `until_s`.

        Raises:
            CertificateFailed: one of them does not answer, or they differ in more than numbers.
        """
        for request in questions_of(self.form, self._with_tokens(texts)):
            if time.monotonic() >= until_s:
                return
            self._ask(examination, [request])

    def _with_tokens(self, texts: Sequence[str]) -> Sequence[str]:
        """Those of `texts` that can be asked about: a text of no tokens has no answer where it is all of a row."""
        checkpoint = self.subject.checkpoint
        alone = checkpoint.task.layout in ALONE_IN_ITS_ROW
        return with_tokens(checkpoint.tokenizer, texts) if alone else texts

    def _ask(self, examination: Examination, requests: Sequence[Asked]) -> None:
        """Ask both some requests that are under way at once."""
        if self.subject.adapter:
            adapter = {"adapter": self.subject.adapter}
            requests = [replace(request, options={**request.options, **adapter}) for request in requests]
        answers = self._process.ask(self.subject.reference, [self._with_prompt(request) for request in requests])
        self._check_prompts(answers.prompts)
        self.by = answers.by
        said = self.pipeline.ask(requests, self.subject.checkpoint.graph_inputs)
        for request, ours, theirs in zip(requests, said, answers.answered, strict=True):
            examination.add(request, ours, theirs)

    def _with_prompt(self, request: Asked) -> Asked:
        """A request as the library gets it, which knows nothing of prompts that come with adapters."""
        if self.subject.prompt_name is None or {"prompt", "prompt_name"} & {*request.options}:
            return request
        return replace(request, options={**request.options, "prompt_name": self.subject.prompt_name})

    def _check_prompts(self, theirs: dict[str, str] | None) -> None:
        """The prompts that a request may name must be the library's, where it has any."""
        ours = self.pipeline.prompts
        if theirs is not None and ours != theirs:
            raise CertificateFailed(f"the pipeline has the prompts {ours}, the library {theirs}")
