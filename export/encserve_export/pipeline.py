"""One export, from checkpoint to published pipeline, top to bottom."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from encserve_server.models.cpu_flags import read_cpu_flags

from .calibration import Calibration, calibrate
from .certificate import certify
from .checkpoint import Checkpoint
from .config import Device, Engine, ExportConfig, Runtime
from .cuda_session import why_no_cuda
from .errors import CertificateFailed
from .fused_attention import DOMAIN, OPERATOR
from .graph_file import remove_graph_file
from .guard import check_texts_are_apart
from .limits import limits_for, overridden
from .manifest import FILE_NAME as MANIFEST_FILE
from .manifest import Manifest, sha256_of, tool_versions
from .onnxruntime_backend import warmup_files
from .packed_graph import GRAPH_FILE, OPSET
from .precisions import Way, on_this_gpu, slow_here, way_of, ways_to_try
from .repository import StagedVersion, publish, staged_version
from .shared_body import load_heads
from .steps import limits_of, trace, write_encode, write_steps
from .task_options import options_of
from .tensorrt_plan import PLAN_FILE, Target, build_plan, find_target
from .tensorrt_profile import bounds_of, profile_of
from .triton_config import shared_configs

_TRACED, _TRACED_FUSED = "traced", "traced-fused"  # in the staging folder, so that they go away with it
Stage = Callable[[str], AbstractContextManager[object]]
"""Called with what is being done; the context lasts as long as that takes."""
Say = Callable[[str], None]
"""Called with what the user should know, such as why a precision was chosen."""


@dataclass(frozen=True, kw_only=True)
class _Made:
    """The pipelines as they were made, and what was measured of them."""

    way: Way
    how: dict[str, Any]
    plan: dict[str, Any]
    calibration: dict[str, Any]
    parities: list[dict[str, Any]]
    """In the order of the pipelines."""


def export(config: ExportConfig, stage: Stage = lambda doing: nullcontext(), say: Say = lambda line: None) -> Manifest:
    """Turn a checkpoint into the next version of a pipeline; returns its certificate, the first one of several heads.

    Raises:
        ExportError: and nothing was published.
    """
    return export_heads(config, stage, say)[0]


def export_heads(
    config: ExportConfig, stage: Stage = lambda doing: nullcontext(), say: Say = lambda line: None
) -> list[Manifest]:
    """Turn a checkpoint, and others with its encoder, into the next version of a pipeline for each; all or none.

    Returns the certificates, in the order of `config.names`. Raises ExportError: and nothing was published.
    """
    ways = _ways(config, read_cpu_flags(), say)
    target = find_target() if config.engine is Engine.TENSORRT else None
    with staged_version(config.repository, *config.names, engine=config.engine) as staged:
        with stage(f"loading {', '.join([config.checkpoint, *config.heads.values()])}"):
            checkpoints = load_heads(config)
        calibration = calibrate(config, checkpoints[""])
        with stage("checking that texts of a pack stay apart"):
            check_texts_are_apart(checkpoints[""])
        with stage("exporting the graph"):
            ways = _trace(ways, checkpoints, config, staged, say)
            for name, checkpoint in zip(config.names, checkpoints.values(), strict=True):
                write_steps(checkpoint, config, staged.step_folders(name))
        made = _first_that_holds(ways, target, config, checkpoints, calibration, staged, stage, say)
        manifests = [
            _manifest(config, staged, name, head, checkpoint, made, parity)
            for name, (head, checkpoint), parity in zip(config.names, checkpoints.items(), made.parities, strict=True)
        ]
        certified = []
        for manifest in manifests:
            text = manifest.to_json()
            (staged.folder(manifest.name) / MANIFEST_FILE).write_text(text, encoding="utf-8")
            certified.append((manifest, hashlib.sha256(text.encode()).hexdigest()))
        if config.engine is not Engine.PYTHON:
            staged.write_warmup(warmup_files(manifests[0]))
        publish(staged, shared_configs(certified))
    return manifests


def _trace(
    ways: Sequence[Way], checkpoints: dict[str, Checkpoint], config: ExportConfig, staged: StagedVersion, say: Say
) -> list[Way]:
    """Write the FP32 graphs that `ways` start from; returns those ways that there is a graph for."""
    trace(checkpoints, config, staged.root / _TRACED)
    if any(way.fused_attention for way in ways) and not trace(
        checkpoints, config, staged.root / _TRACED_FUSED, fused_attention=True
    ):
        say(f"attention is written out: no layer of the network is one that {OPERATOR} can compute")
        return [way for way in ways if not way.fused_attention]
    return list(ways)


def _ways(config: ExportConfig, cpu: frozenset[str], say: Say) -> list[Way]:
    """What to make, the best first; what is said is why."""
    if config.precision is not None:
        way = way_of(config.precision, config.engine, config.runtime, cpu)
        limits_for(way.precision, config.limits)  # refuses what is no limit, before anything is done
        if slow := slow_here(way, cpu):
            say(f"warning: {slow}")
        if config.calibration and not way.calibrated and config.engine is not Engine.TENSORRT:
            say(f"warning: --calibration {config.calibration} is not used: {way} looks at no texts")
        return _on_device([way], config, say)
    ways, reasons = ways_to_try(config.engine, config.runtime, cpu)
    limits_for(ways[0].precision, config.limits)
    for reason in reasons:
        say(f"--precision auto passes over {reason}")
    say(f"--precision auto takes {ways[0]}: of what is fast with this processor and installation the most exact")
    return _on_device(ways, config, say)


def _on_device(ways: Sequence[Way], config: ExportConfig, say: Say) -> list[Way]:
    """What is for a GPU alone is certified on the GPU of this host, if there is one."""
    if config.device is not Device.GPU:
        return list(ways)
    if lacking := why_no_cuda():
        say(f"warning: certified on the CPU, with attention written out and not as {OPERATOR}: {lacking}")
        return list(ways)
    return on_this_gpu(ways)


def _first_that_holds(
    ways: Sequence[Way],
    target: Target | None,
    config: ExportConfig,
    checkpoints: dict[str, Checkpoint],
    calibration: Calibration,
    staged: StagedVersion,
    stage: Stage,
    say: Say,
) -> _Made:
    """Make the encode step in one way after the other, until a certificate holds."""
    for way, following in zip(ways, [*ways[1:], None], strict=True):
        try:
            return _make(way, target, config, checkpoints, calibration, staged, stage)
        except CertificateFailed as failed:
            if following is None:
                raise
            say(f"{way} fails its certificate ({failed}); trying {following}")
    raise AssertionError("there is at least one way")


def _make(
    way: Way,
    target: Target | None,
    config: ExportConfig,
    checkpoints: dict[str, Checkpoint],
    calibration: Calibration,
    staged: StagedVersion,
    stage: Stage,
) -> _Made:
    encode = staged.step_folders()["encode"]
    with stage(f"making {way}"):
        traced = staged.root / (_TRACED_FUSED if way.fused_attention else _TRACED)
        how = write_encode(checkpoints, config, way, calibration, traced, encode)
    limits = limits_for(way.precision, config.limits)

    def certified(target: Target | None = None) -> list[dict[str, Any]]:
        parities = []
        for name, (head, checkpoint) in zip(config.names, checkpoints.items(), strict=True):
            what = f"the plan of {name}" if target else name
            with stage(f"certifying {what} against the checkpoint"), way.as_served(encode / GRAPH_FILE) as measured:
                folders = staged.step_folders(name) | {"encode": measured}
                kept = staged.folder(name)
                parity = certify(checkpoint, way, limits, config, folders, head=head, kept=kept, target=target)
            parities.append(parity | {"limits_overridden": overridden(way.precision, limits)})
        return parities

    parities, plan = certified(), {}
    if target is not None:
        checkpoint = checkpoints[""]
        profile = profile_of(bounds_of(checkpoint.max_length), checkpoint.graph_inputs, calibration.lengths)
        with stage(f"building a plan for {target.gpu}"):
            graph, timing = encode / GRAPH_FILE, config.repository
            plan = build_plan(target, graph, encode / PLAN_FILE, profile, timing)
        remove_graph_file(graph)
        parities = certified(target)
    record = calibration.record if way.calibrated or target is not None else {}
    how |= {"attention": f"{DOMAIN}.{OPERATOR}"} if way.fused_attention else {}
    return _Made(way=way, how=how, plan=plan, calibration=record, parities=parities)


def _manifest(
    config: ExportConfig,
    staged: StagedVersion,
    name: str,
    head: str,
    checkpoint: Checkpoint,
    made: _Made,
    parity: dict[str, Any],
) -> Manifest:
    runtime = made.way.runtime
    return Manifest(
        name=name,
        version=staged.version,
        head=head,
        body=config.name if head else "",
        task=checkpoint.task.name,
        precision=made.way.precision,
        engine=made.way.engine,
        device=config.device,
        runtime={"name": runtime.value, "hints": dict(made.way.hints)} if runtime else {},
        made=made.how,
        plan=made.plan,
        calibration=made.calibration,
        checkpoint={
            "source": checkpoint.source,
            "revision": checkpoint.revision,
            **({"code": checkpoint.code} if checkpoint.code else {}),
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
        limits=asdict(limits_of(checkpoint, config)),
        token_budget=config.tokens_per_micro_batch,
        prompts=checkpoint.modules.prompts,
        option_defaults={name: rule["default"] for name, rule in options_of(checkpoint).items()},
        tokenizer_sha256=sha256_of(staged.step_folders(name)["tokenize"] / "tokenizer.json"),
        parity=parity,
        files=staged.digests(name),
        tools=tool_versions(*(["openvino"] if runtime is Runtime.OPENVINO else [])),
    )
