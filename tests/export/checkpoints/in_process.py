"""A checkpoint as it would be served, in this process: the steps' own code around the packed network in PyTorch."""

import json

import numpy as np
import torch
from tokenizers import Tokenizer

from encserve_export.attention.encoding import attention
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig
from encserve_export.network.packed_heads import packed_network
from encserve_export.publication.request_limits import limits_by_head
from encserve_export.publication.steps import write_steps
from encserve_server.steps.head.loading import load_head
from encserve_server.steps.instance.settings import read_settings
from encserve_server.steps.request.options import OptionRules
from encserve_server.steps.tokenize.tokenization import Tokenization


def load(folder, **config):
    return load_checkpoint(ExportConfig(checkpoint=str(folder), name="tiny", **config))


def answers(folder, tmp_path, options=(), *, text, text_pair=None, **config):
    """The outputs of all steps for one request about the checkpoint in `folder`; `options` are those of the request."""
    asked = ExportConfig(checkpoint=str(folder), name="tiny", repository=tmp_path, **config)
    checkpoint = load_checkpoint(asked)
    folders = {step: tmp_path / "steps" / step / "1" for step in ("tokenize", "encode", "head")}
    for each in folders.values():
        each.mkdir(parents=True)
    write_steps(checkpoint, asked, limits_by_head({"": checkpoint}, asked)[""], folders)
    settings = read_settings(folders["tokenize"])
    chosen = OptionRules.from_settings(settings).parse(json.dumps(dict(options)))
    tokenization = Tokenization(Tokenizer.from_file(str(folders["tokenize"] / "tokenizer.json")), settings)
    given = {"text": text, "text_pair": text_pair}
    inputs = {name: [each.encode() for each in given[name]] for name in checkpoint.task.inputs}
    (tensors,) = tokenization.tokenize([(tokenization.read(inputs, chosen), chosen)])
    if isinstance(tensors, Exception):
        raise tensors
    taken = {name: torch.from_numpy(np.asarray(tensors[name], np.int64)) for name in checkpoint.graph_inputs}
    rows = [np.empty((0, checkpoint.dimensions), np.float32)]
    if len(taken["lengths"]):
        with torch.inference_mode(), attention(checkpoint.encoder):
            given = packed_network(checkpoint)(**taken)
        rows = [each.numpy() for each in (given if isinstance(given, tuple) else (given,))]
    head = load_head(read_settings(folders["head"]))
    encoded = {output.name: own for output, own in zip(checkpoint.task.outputs, rows, strict=True)}
    raw = {name: np.array(texts, object) for name, texts in inputs.items()}
    return encoded | tensors | head.answer({**raw, **tensors, **encoded}, chosen)
