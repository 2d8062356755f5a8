"""A pipeline that was exported, its own steps answering in this process in the place of a server."""

import hashlib
import json
from contextlib import contextmanager

import numpy as np
from tokenizers import Tokenizer

from encserve.testing import FakeTransport, fake_pipeline
from encserve_export.checkpoint.tasks.table import TASKS
from encserve_export.config import Precision
from encserve_export.engines.engine import EncodeStep
from encserve_export.engines.python_backend.python_onnxruntime import ONNXRUNTIME
from encserve_server.steps.head.loading import load_head
from encserve_server.steps.instance.settings import read_settings
from encserve_server.steps.request.options import OptionRules
from encserve_server.steps.tokenize.tokenization import Tokenization


class InProcess:
    """The steps of version 1 of the pipeline `tiny`."""

    def __init__(self, repository, manifest, encoder):
        folders = {step: repository / f"tiny_{step}/1" for step in ("tokenize", "head")}
        settings, head = (read_settings(folder) for folder in folders.values())
        tokenizer = Tokenizer.from_file(str(folders["tokenize"] / "tokenizer.json"))
        self.tokenization, self.rules = Tokenization(tokenizer, settings), OptionRules.from_settings(settings)
        self.head, self.head_rules, self.head_inputs = load_head(head), OptionRules.from_settings(head), head["tensors"]
        self.graph_inputs, self.output, self.encoder = manifest.graph_inputs, TASKS[manifest.task].output, encoder

    def __call__(self, request):
        stated = json.dumps(dict(request.parameters))
        options = self.rules.parse(stated)
        (tensors,) = self.tokenization.tokenize([(self.tokenization.read(request.inputs, options), options)])
        (rows,) = self.encoder.encode([{name: tensors[name] for name in self.graph_inputs}], [self.output])
        raw = {name: np.array(texts, object) for name, texts in request.inputs.items()}
        known = {**raw, **tensors, **rows}
        answer = self.head.answer({name: known[name] for name in self.head_inputs}, self.head_rules.parse(stated))
        return {name: np.asarray(tensor)[None] for name, tensor in {**tensors, **answer}.items()}


@contextmanager
def served_in_process(repository, manifest, spoil=lambda tensors: tensors):
    """The way to it, as `verify` takes it; the tensors of its answers are changed by `spoil`."""
    task = TASKS[manifest.task]
    step = EncodeStep(
        folder=repository / "tiny_encode/1",
        precision=Precision.FP32,
        follows={task.output: task.follows},
        max_length=manifest.limits["max_length"],
    )
    certificate = hashlib.sha256((repository / "tiny/1/manifest.json").read_bytes()).hexdigest()
    with ONNXRUNTIME.open(step) as encoder:
        serving = InProcess(repository, manifest, encoder)
        known = {"task": manifest.task, "pairs": manifest.pairs, "option_defaults": manifest.option_defaults}
        pipelines = [fake_pipeline(name="tiny", certificate=certificate, **known)]
        yield FakeTransport(lambda request: spoil(serving(request)), pipelines=pipelines)
