"""Pipelines whose steps are staged as an export stages them, and whose network runs packed in torch: no graph is
traced, so that many of them can be certified in a test."""

import json
from dataclasses import dataclass

import numpy as np
import torch

from encserve_export.attention.encoding import attention
from encserve_export.certificate.certificate_texts import CertificateTexts
from encserve_export.certificate.certify import certify
from encserve_export.certificate.limits import limits_for
from encserve_export.certificate.subject.asked import Subject, library_of
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig, Precision
from encserve_export.network.adapted_network import adapted
from encserve_export.network.packed_heads import packed_network
from encserve_export.publication.request_limits import limits_by_head
from encserve_export.publication.steps import write_steps


class TorchEncoder:
    """The packed network of a checkpoint; each request is a pack."""

    def __init__(self, checkpoint):
        self.checkpoint = checkpoint
        self.network = packed_network(checkpoint)

    def encode(self, requests, outputs):
        checkpoint = self.checkpoint
        with adapted(checkpoint, self.network) as network, attention(checkpoint.model), torch.inference_mode():
            return [self._rows(network, pack, outputs) for pack in requests]

    def _rows(self, network, pack, outputs):
        """The rows of a request, or what went wrong with it, as an encode step tells it."""
        if not len(pack["lengths"]):
            return dict.fromkeys(outputs, np.empty((0, self.checkpoint.dimensions), np.float32))
        try:
            rows = network(**{name: torch.as_tensor(pack[name]) for name in self.checkpoint.graph_inputs})
        except (IndexError, RuntimeError) as error:
            return error
        return dict.fromkeys(outputs, rows.numpy())


@dataclass
class Staged:
    """A pipeline, as far as a certificate needs it."""

    checkpoint: object
    config: ExportConfig
    folders: dict

    def change(self, step, **settings):
        """Change the settings of a step as a wrong export would have written them."""
        file = self.folders[step] / "settings.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | settings))

    def certify(self, encoder=None, *, precision=Precision.FP32, kept=None, texts=None, **limits):
        subject = Subject(
            checkpoint=self.checkpoint, reference=library_of(self.checkpoint, self.config), folders=self.folders
        )
        texts = texts or CertificateTexts()
        encoder = encoder or TorchEncoder(self.checkpoint)
        return certify(subject, encoder, limits_for(precision, limits), texts, kept)


def stage(folder, checkpoint_folder, *, read=lambda checkpoint: checkpoint, **config):
    """Stage the steps of a checkpoint in `folder`; `read` may change what was read of it, as a wrong reading would."""
    config = ExportConfig(checkpoint=str(checkpoint_folder), name="tiny", **config)
    checkpoint = read(load_checkpoint(config))
    folders = {step: folder / f"tiny_{step}" / "1" for step in ("tokenize", "encode", "head")}
    for each in folders.values():
        each.mkdir(parents=True)
    write_steps(checkpoint, config, limits_by_head({"": checkpoint}, config)[""], folders)
    return Staged(checkpoint, config, folders)
