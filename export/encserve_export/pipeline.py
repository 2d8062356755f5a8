"""One export, from checkpoint to published pipeline, top to bottom."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

from .certificate import certify
from .checkpoint import Checkpoint
from .config import ExportConfig
from .guard import check_texts_are_apart
from .manifest import FILE_NAME as MANIFEST_FILE
from .manifest import Manifest, sha256_of
from .packed_graph import OPSET
from .repository import StagedVersion, publish, staged_version
from .shared_body import load_heads
from .steps import limits_of, write_encode, write_steps
from .task_options import options_of
from .triton_config import shared_configs

Stage = Callable[[str], AbstractContextManager[object]]
"""Called with what is being done; the context lasts as long as that takes."""


def export(config: ExportConfig, stage: Stage = lambda doing: nullcontext()) -> Manifest:
    """Turn a checkpoint into the next version of a pipeline; returns its certificate, the first one of several heads.

    Raises:
        ExportError: and nothing was published.
    """
    return export_heads(config, stage)[0]


def export_heads(config: ExportConfig, stage: Stage = lambda doing: nullcontext()) -> list[Manifest]:
    """Turn a checkpoint, and others with its encoder, into the next version of a pipeline for each; all or none.

    Returns the certificates, in the order of `config.names`. Raises ExportError: and nothing was published.
    """
    with staged_version(config.repository, *config.names) as staged:
        with stage(f"loading {', '.join([config.checkpoint, *config.heads.values()])}"):
            checkpoints = load_heads(config)
        with stage("checking that texts of a pack stay apart"):
            check_texts_are_apart(checkpoints[""])
        with stage(f"exporting the {config.precision.value} graph"):
            write_encode(checkpoints, config.engine, staged.step_folders()["encode"])
            for name, checkpoint in zip(config.names, checkpoints.values(), strict=True):
                write_steps(checkpoint, staged.step_folders(name))
        manifests = []
        for name, (head, checkpoint) in zip(config.names, checkpoints.items(), strict=True):
            with stage(f"certifying {name} against the checkpoint"):
                parity = certify(checkpoint, config.precision, staged.step_folders(name), head=head)
            manifests.append(_manifest(config, staged, name, head, checkpoint, parity))
        certified = []
        for manifest in manifests:
            text = manifest.to_json()
            (staged.folder(manifest.name) / MANIFEST_FILE).write_text(text, encoding="utf-8")
            certified.append((manifest, hashlib.sha256(text.encode()).hexdigest()))
        publish(staged, shared_configs(certified))
    return manifests


def _manifest(
    config: ExportConfig, staged: StagedVersion, name: str, head: str, checkpoint: Checkpoint, parity: dict[str, Any]
) -> Manifest:
    return Manifest(
        name=name,
        version=staged.version,
        head=head,
        body=config.name if head else "",
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
        tokenizer_sha256=sha256_of(staged.step_folders(name)["tokenize"] / "tokenizer.json"),
        parity=parity,
        files=staged.digests(name),
    )
