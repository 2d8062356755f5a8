"""One export of a pipeline that generates, from checkpoint to published version, top to bottom."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from encserve_export.certificate.limits import GenerationLimits, generation_limits_for, overridden, relaxed
from encserve_export.certificate.reference_process import reference_process
from encserve_export.certificate.subject.asked import library_of
from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.checkpoint.tasks.table import GENERATION
from encserve_export.config import ExportConfig, Precision
from encserve_export.engines.engine import Say, Stage
from encserve_export.engines.ways import Way
from encserve_export.errors import Unsupported
from encserve_export.hardware import hardware
from encserve_export.network.packed_graph import OPSET
from encserve_export.publication.publish import check_fits, publish, staged_version
from encserve_export.publication.tools import tool_versions
from encserve_repository.layout import GENERATE_STEPS
from encserve_repository.manifest import Manifest, sha256_of
from encserve_repository.publication.staging import StagedVersion

from .asked import way_asked
from .certificate.certify import certify
from .decoders.table import DECODERS
from .defaults import GenerationDefaults, defaults_of
from .files import configs_of, limits_of, options_of, runtime_of, write_step
from .graphs import write_graphs
from .languages import codes_of
from .precision.making import make_precision


def export_generator(config: ExportConfig, stage: Stage, say: Say) -> Manifest:
    """Turn a checkpoint with a decoder into the next version of a pipeline that generates; returns its certificate.

    Raises:
        ExportError: and nothing was published, unless it says so.
    """
    way = way_asked(config)
    limits = generation_limits_for(way.precision, config.limits)
    reference_process()  # its imports take seconds, while the checkpoint is loaded and traced
    with staged_version(config, GENERATE_STEPS) as staged:
        if staged.work.is_inside:
            say(f"working in {staged.work.path}, which a Triton that polls would see: no folder beside it can be used")
        with stage(f"loading {config.checkpoint}"):
            checkpoint = load_checkpoint(replace(config, task=GENERATION.name))
            _check_network(checkpoint)
            defaults = defaults_of(checkpoint.model, checkpoint.source)
            defaults = replace(defaults, prompts=codes_of(checkpoint.tokenizer) | defaults.prompts)
        manifest = _manifest(config, staged, checkpoint, defaults, way)
        check_fits(staged, [manifest], configs_of)
        folder = staged.step_folders()["generate"]
        with stage("exporting the graphs"):
            write_graphs(checkpoint.model, len(checkpoint.tokenizer), folder)
        with stage(f"making {way}"):
            made = make_precision(way, checkpoint, defaults, folder)
        write_step(checkpoint, defaults, way, folder)
        with stage(f"certifying {config.name} against the checkpoint"):
            library = replace(library_of(checkpoint, config), max_length=checkpoint.max_length)
            parity = certify(folder, library, defaults, limits, keep_in=staged.folder(config.name))
            parity |= _measured_with(way.precision, limits)
        manifest = replace(
            manifest,
            made=made.how,
            calibration=made.calibration,
            parity=parity,
            tokenizer_sha256=sha256_of(folder / "tokenizer.json"),
        )
        return publish(staged, [manifest], config, configs_of)[0]


def _check_network(checkpoint: Checkpoint) -> None:
    network = type(checkpoint.model).__name__
    if network not in DECODERS:
        raise Unsupported(f"{network} is not offered for {GENERATION.name}; offered is {', '.join(DECODERS)}")


def _measured_with(precision: Precision, limits: GenerationLimits) -> dict[str, Any]:
    """What the manifest says of how it was measured."""
    return {
        "measured_on": "cpu",
        "hardware": hardware("cpu"),
        "arithmetic": "measured",
        "limits_overridden": overridden(precision, limits),
        "relaxed": relaxed(precision, limits),
    }


def _manifest(
    config: ExportConfig, staged: StagedVersion, checkpoint: Checkpoint, defaults: GenerationDefaults, way: Way
) -> Manifest:
    """The certificate, to which what was measured, the files and their digests will be added."""
    return Manifest(
        name=config.name,
        version=staged.version,
        task=GENERATION.name,
        precision=way.precision.value,
        engine=str(way.engine.name),
        runtime=runtime_of(way),
        requirements=asdict(way.engine.requirements(way.precision, {})),
        checkpoint={
            "source": checkpoint.source,
            "revision": checkpoint.revision,
            **({"code": checkpoint.code} if checkpoint.code else {}),
            "licence": checkpoint.licence,
            "architecture": type(checkpoint.model).__name__,
        },
        opset=OPSET,
        dimensions=len(checkpoint.tokenizer),
        pooling=None,
        pairs=False,
        labels=[],
        mask_token="",
        graph_inputs=("input_ids", "lengths"),
        limits=asdict(limits_of(checkpoint)),
        token_budget=None,
        prompts=defaults.prompts,
        option_defaults={name: rule["default"] for name, rule in options_of(checkpoint, defaults).items()},
        tokenizer_sha256="",
        parity={},
        files={},
        tools=tool_versions(*way.engine.tools),
    )
