"""One export, from checkpoint to published pipeline, top to bottom."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from encserve_repository.manifest import Manifest
from encserve_repository.publication.staging import StagedVersion
from encserve_server.steps.encode.host.cpu_flags import read_cpu_flags

from .attention.fused_attention import OPERATOR
from .certificate.certificate_texts import CertificateTexts
from .certificate.certify import certify
from .certificate.guard import check_texts_are_apart
from .certificate.limits import limits_for, overridden, relaxed
from .certificate.reference_process import reference_process
from .certificate.subject.asked import Subject, library_of, pipeline_of
from .checkpoint.checkpoint import Checkpoint
from .checkpoint.shared_body import load_heads
from .confidence.calibrating import calibrate as fit_confidence
from .confidence.calibrating import labelled_texts
from .confidence.labelled import LabelledTexts
from .config import ExportConfig
from .drafts import Drafts
from .engines.engine import EncodeStep, Say, Stage, Tracing
from .engines.table import check_entities, check_heads, check_queries
from .engines.ways import Way, by_speed, chooses, speed_in_words, ways_for
from .errors import InvalidConfig, Unsupported, UnsupportedHost, WayFailed
from .generation.asked import generates
from .generation.export import export_generator
from .hardware import hardware
from .publication.made import Certified, Made, manifest_of
from .publication.publish import check_fits, publish, staged_version
from .publication.request_limits import limits_by_head
from .publication.steps import EncodeSteps, trace, write_steps
from .texts.calibration import calibrate

_DRAFTS = ".drafts"
"""Where graphs lie that are made on the way, beside the models of the staged version: no pipeline is called so."""


def export(config: ExportConfig, stage: Stage = lambda doing: nullcontext(), say: Say = lambda line: None) -> Manifest:
    """Turn a checkpoint into the next version of a pipeline; returns its certificate, the first one of several heads.

    `say` is called with what the user should know, such as why a precision was chosen.

    Raises:
        ExportError: and nothing was published, unless it says so.
    """
    return export_heads(config, stage, say)[0]


def export_heads(
    config: ExportConfig, stage: Stage = lambda doing: nullcontext(), say: Say = lambda line: None
) -> list[Manifest]:
    """Turn a checkpoint, and others with its encoder, into the next version of a pipeline for each; all or none.

    Returns the certificates, in the order of `config.names`. Raises ExportError: and nothing was published, unless it
    says so.
    """
    if generates(config):
        if config.labels is not None:
            raise InvalidConfig("--labels is for text-classification, and this checkpoint generates texts")
        return [export_generator(config, stage, say)]
    ways = ways_for(config, read_cpu_flags(), say)
    limits_for(ways[0].precision, config.limits)  # refuses what is no limit, before anything is done
    reference_process()  # its imports take seconds, while the checkpoint is loaded and traced
    with staged_version(config) as staged:
        if staged.work.is_inside:
            say(f"working in {staged.work.path}, which a Triton that polls would see: no folder beside it can be used")
        with stage(f"loading {', '.join([config.checkpoint, *config.heads.values()])}"):
            checkpoints = load_heads(config)
        check_heads(config, checkpoints)
        check_queries(config, checkpoints)
        check_entities(config, checkpoints)
        calibration, labelled = calibrate(config, checkpoints[""]), labelled_texts(config, checkpoints[""])
        with stage("checking that texts of a pack stay apart"):
            check_texts_are_apart(checkpoints[""])
        limits = limits_by_head(checkpoints, config)
        for name, (head, checkpoint) in zip(config.names, checkpoints.items(), strict=True):
            write_steps(checkpoint, config, limits[head], staged.step_folders(name))
        check_fits(staged, _manifests(config, staged, checkpoints, Made.not_yet(ways[0], pipelines=len(checkpoints))))
        with stage("exporting the graph"):
            traced = _trace(ways, checkpoints, staged.root / _DRAFTS, say)
        drafts = Drafts(checkpoints[""], calibration, traced, staged.root / _DRAFTS, stage)
        steps = EncodeSteps(checkpoints=checkpoints, config=config, calibration=calibration, timings=staged.work.path)
        workshop = _Workshop(steps, drafts, staged, stage, labelled)
        made = workshop.first_that_holds([way for way in ways if way.engine.tracing in traced], say)
        manifests = _manifests(config, staged, checkpoints, made)
        shutil.rmtree(staged.root / _DRAFTS)  # what is published is brought to disk with all that lies beside it
        return publish(staged, manifests, config)


def _manifests(
    config: ExportConfig, staged: StagedVersion, checkpoints: dict[str, Checkpoint], made: Made
) -> list[Manifest]:
    limits = limits_by_head(checkpoints, config)
    return [
        manifest_of(config, staged, made, Certified(name, head, checkpoint, limits[head], parity))
        for name, (head, checkpoint), parity in zip(config.names, checkpoints.items(), made.parities, strict=True)
    ]


def _trace(ways: Sequence[Way], checkpoints: dict[str, Checkpoint], root: Path, say: Say) -> dict[Tracing, Path]:
    """Write the FP32 graphs that `ways` start from, each in a folder of its own in `root`."""
    traced = {}
    for number, tracing in enumerate(dict.fromkeys(way.engine.tracing for way in ways)):
        folder = root / f"traced-{number}"
        fused = trace(checkpoints, tracing, folder)
        if tracing.fused_attention and not fused:
            say(f"attention is written out: no layer of the network is one that {OPERATOR} can compute")
        else:
            traced[tracing] = folder
    return traced


@dataclass(frozen=True)
class _Workshop:
    """What every way to make the encode step works with."""

    steps: EncodeSteps
    drafts: Drafts
    staged: StagedVersion
    stage: Stage
    labelled: LabelledTexts | None

    def first_that_holds(self, ways: Sequence[Way], say: Say) -> Made:
        """Make the encode step in one way after the other, the fastest first, until a certificate holds.

        What is no fault of a way, such as other tokens than the library's, would be found with every other as well.
        """
        speed = self.drafts.speed(ways, self.steps.step)
        ways = self.drafts.usable(ways, say)
        if speed is not None:
            ways = by_speed(ways, speed.ratios)
            for line in speed_in_words(ways, speed.ratios, chosen_here=chooses(self.steps.config)):
                say(line)
        for way, following in zip(ways, [*ways[1:], None], strict=True):
            try:
                return self._make(way, {} if speed is None else speed.record(str(way), way.engine.measured_on))
            except (WayFailed, Unsupported, UnsupportedHost) as failed:
                if following is None:
                    raise
                what = "fails its certificate" if isinstance(failed, WayFailed) else "cannot be made"
                say(f"{way} {what} ({failed}); trying {following}")
        raise AssertionError("there is at least one way")

    def _make(self, way: Way, speed: dict[str, Any]) -> Made:
        """Make the encode step, and certify all that comes about on the way to what is served."""
        folder = self.staged.step_folders()["encode"]
        step = self.steps.step(way.precision, folder)
        building = way.engine.build(step, self.stage)
        how, built = self.drafts.write(way, folder), next(building)
        step = replace(step, memory=built.memory)
        parities = self._certify(way, step)
        for following in building:
            built, parities = following, self._certify(way, step)
        how = {**how, **built.made, **way.engine.tracing.record}
        return Made(
            way=way,
            how=how,
            memory=dict(built.memory),
            plan=dict(built.plan),
            calibration=self.steps.calibration.record if way.engine.looks_at_texts(way.precision) else {},
            parities=parities,
            speed=speed,
        )

    def _certify(self, way: Way, step: EncodeStep) -> list[dict[str, Any]]:
        """Measure what stands in the folder of the encode step, as it will be served: for each pipeline on it."""
        config, calibration = self.steps.config, self.steps.calibration
        limits = limits_for(way.precision, config.limits)
        texts = CertificateTexts(
            full=config.certify_all,
            own=calibration.held_out,
            own_record=calibration.record.get("held_out", {}),
        )
        parities = []
        with way.open(step) as encoder:
            for name, (head, checkpoint) in zip(config.names, self.steps.checkpoints.items(), strict=True):
                library, folders = library_of(checkpoint, config), self.staged.step_folders(name)
                subject = Subject(checkpoint=checkpoint, reference=library, folders=folders, head=head)
                with self.stage(f"certifying {name} against the checkpoint"):
                    parity = certify(subject, encoder, limits, texts, self.staged.folder(name))
                if self.labelled is not None:
                    with self.stage(f"fitting the temperature of {name}"):
                        pipeline = pipeline_of(subject, encoder)
                        parity["confidence"] = fit_confidence(pipeline, checkpoint, self.labelled, folders["head"])
                parity["measured_on"] = way.engine.measured_on
                parity["hardware"] = hardware(way.engine.measured_on)
                parity["arithmetic"] = "emulated" if way.engine.emulates(way.precision) else "measured"
                parity["limits_overridden"] = overridden(way.precision, limits)
                parities.append(parity | {"relaxed": relaxed(way.precision, limits)})
        return parities
