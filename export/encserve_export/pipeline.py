"""One export, from checkpoint to published pipeline, top to bottom."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict

from .certificate import certify
from .checkpoint import load_checkpoint
from .config import ExportConfig
from .guard import check_texts_are_apart
from .manifest import FILE_NAME as MANIFEST_FILE
from .manifest import Manifest, sha256_of
from .packed_graph import OPSET
from .repository import publish, staged_version
from .steps import limits_of, write_steps
from .task_options import options_of
from .triton_config import pipeline_configs

Stage = Callable[[str], AbstractContextManager[object]]
"""Called with what is being done; the context lasts as long as that takes."""


def export(config: ExportConfig, stage: Stage = lambda doing: nullcontext()) -> Manifest:
    """Turn a checkpoint into the next version of a pipeline; returns its certificate.

    Raises:
        ExportError: and nothing was published.
    """
    with staged_version(config.repository, config.name) as staged:
        with stage(f"loading {config.checkpoint}"):
            checkpoint = load_checkpoint(config)
        with stage("checking that texts of a pack stay apart"):
            check_texts_are_apart(checkpoint)
        with stage(f"exporting the {config.precision.value} graph"):
            write_steps(checkpoint, config.engine, staged.step_folders())
        with stage("certifying against the checkpoint"):
            parity = certify(checkpoint, config.precision, staged.step_folders())

        digests = staged.digests()
        manifest = Manifest(
            name=config.name,
            version=staged.version,
            task=checkpoint.task.name,
            precision=config.precision,
            engine=config.engine,
            checkpoint={
                "source": checkpoint.source,
                "revision": checkpoint.revision,
                "licence": checkpoint.licence,
                "architecture": type(checkpoint.model).__name__,
            },
            opset=OPSET,
            dimensions=checkpoint.dimensions,
            pooling=checkpoint.modules.pooling if checkpoint.task.name == "feature-extraction" else None,
            pairs=checkpoint.task.pairs,
            labels=checkpoint.labels,
            mask_token=checkpoint.tokenizer.mask_token if checkpoint.task.name == "fill-mask" else "",
            graph_inputs=checkpoint.graph_inputs,
            limits=asdict(limits_of(checkpoint)),
            prompts=checkpoint.modules.prompts,
            option_defaults={name: rule["default"] for name, rule in options_of(checkpoint).items()},
            tokenizer_sha256=sha256_of(staged.step_folders()["tokenize"] / "tokenizer.json"),
            parity=parity,
            files=digests,
        )
        text = manifest.to_json()
        (staged.folder(config.name) / MANIFEST_FILE).write_text(text, encoding="utf-8")
        certificate = hashlib.sha256(text.encode()).hexdigest()
        publish(staged, pipeline_configs(manifest, certificate))
    return manifest
