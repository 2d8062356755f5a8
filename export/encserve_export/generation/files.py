"""The files of a generate step, and Triton's configuration of it and of its pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.checkpoint.listed.tokenizer import ListedTokenizer, pieces_file
from encserve_export.checkpoint.tasks.table import GENERATION
from encserve_export.engines.step_sources import copy_sources, sources_of
from encserve_export.engines.ways import Way
from encserve_export.publication.request_options import MAX_TEXTS_PER_REQUEST, cut_side
from encserve_export.publication.steps import write_settings
from encserve_export.publication.triton_config import REQUESTS_AROUND, TYPES, card, python_backend, step_of
from encserve_repository.config_text import pin_versions
from encserve_repository.manifest import Manifest, sha256_of
from encserve_server.steps.generate.decoder.network import ENCODER_FILE, STEP_FILE
from encserve_server.steps.generate.door.limits import EngineLimits
from encserve_server.steps.generate.texts.choice import EARLY_STOPPING
from encserve_server.steps.instance.lanes import LANES
from encserve_server.steps.tokenize.limits import Limits
from encserve_server.steps.tokenize.listed.pieces import FILE as PIECES_FILE

from .defaults import MOST_LENGTH_PENALTY, MOST_NEW_TOKENS, GenerationDefaults, most_new_tokens
from .graphs import shape_of
from .languages import languages_of

ENGINE = EngineLimits(cache_bytes=1 << 30, logits_bytes=1 << 26, prefill_tokens=512, max_queued_texts=1_024)
MAX_BYTES_PER_TEXT = 1 << 20
MAX_LISTED_BYTES = 1 << 16
"""Of a text that is cut into pieces in Python, in the process whose engine computes for others meanwhile."""
_MOST_STOPS = 16
_MOST_SEED = 2**63 - 1
_MOST_TEMPERATURE = 100.0
_MOST_BEAMS = 16
_MOST_REPETITION_PENALTY = 100.0


def limits_of(checkpoint: Checkpoint) -> Limits:
    """What one request may ask for."""
    listed = isinstance(checkpoint.tokenizer, ListedTokenizer)
    return Limits(
        max_length=checkpoint.max_length,
        max_texts_per_request=MAX_TEXTS_PER_REQUEST,
        max_tokens_per_request=max(16_384, checkpoint.max_length),
        max_bytes_per_text=MAX_LISTED_BYTES if listed else MAX_BYTES_PER_TEXT,
    )


def options_of(checkpoint: Checkpoint, defaults: GenerationDefaults) -> dict[str, dict[str, Any]]:
    """Option -> kind, default and bounds. A request that sets none gets what `generate` of transformers gives."""

    def whole(default: int | None, least: int, most: int) -> dict[str, Any]:
        return {"kind": "whole", "default": default, "least": least, "most": most}

    def number(default: float, above: float, most: float) -> dict[str, Any]:
        return {"kind": "number", "default": default, "above": above, "most": most}

    def choice(default: str, allowed: Sequence[str]) -> dict[str, Any]:
        return {"kind": "choice", "default": default, "allowed": list(allowed)}

    most = most_new_tokens(checkpoint.config)
    spoken: dict[str, dict[str, Any]] = {}
    if known := languages_of(checkpoint.tokenizer):
        names = sorted(known.languages.ids)
        spoken["source_language"] = choice(known.source, names)
        spoken["target_language"] = choice(known.named(defaults.first_token), ["", *names])
    return spoken | {
        "truncate": choice(cut_side(checkpoint), ["end", "start", "error"]),
        "lane": choice(LANES[0], LANES),
        "cancel": {"kind": "id", "default": None},
        "prompt_name": choice("", ["", *sorted(defaults.prompts)]),
        "max_new_tokens": whole(defaults.max_new_tokens, 1, most),
        "min_new_tokens": whole(defaults.min_new_tokens, 0, most),
        "num_beams": whole(defaults.num_beams, 1, max(_MOST_BEAMS, defaults.num_beams)),
        "length_penalty": number(defaults.length_penalty, -MOST_LENGTH_PENALTY, MOST_LENGTH_PENALTY),
        "early_stopping": choice(defaults.early_stopping, list(EARLY_STOPPING)),
        "repetition_penalty": number(defaults.repetition_penalty, 0.0, _MOST_REPETITION_PENALTY),
        "no_repeat_ngram_size": whole(defaults.no_repeat_ngram_size, 0, MOST_NEW_TOKENS),
        "do_sample": {"kind": "flag", "default": defaults.do_sample},
        "temperature": number(defaults.temperature, 0.0, _MOST_TEMPERATURE),
        "top_k": whole(defaults.top_k, 0, len(checkpoint.tokenizer)),
        "top_p": number(defaults.top_p, 0.0, 1.0),
        "seed": whole(None, 0, _MOST_SEED),
        "stop": {"kind": "strings", "default": None, "most": _MOST_STOPS},
        "stream": {"kind": "flag", "default": False},
    }


def runtime_of(way: Way) -> dict[str, Any]:
    """The runtime of the graphs, and what it is told when it loads them."""
    assert way.engine.runtime is not None, "engine python has runtimes"
    return {"name": way.engine.runtime.value, "hints": dict(way.recipe.hints)}


def write_step(checkpoint: Checkpoint, defaults: GenerationDefaults, way: Way, folder: Path) -> None:
    """Write what the step of a version is made of beside its graphs, which are in its folder."""
    runtime = runtime_of(way)
    graphs = {file.name: sha256_of(file) for file in sorted(folder.iterdir())}
    assert {ENCODER_FILE, STEP_FILE} <= graphs.keys(), "both graphs are there, with their weights"
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(checkpoint.tokenizer_file(), encoding="utf-8")
    pieces = folder / PIECES_FILE
    if (read := pieces_file(checkpoint.tokenizer)) is not None:
        pieces.write_text(read, encoding="utf-8")
    copy_sources(sources_of("generate", f"tokenize.layouts.{GENERATION.layout}"), folder)
    write_settings(
        folder,
        {
            "options": options_of(checkpoint, defaults),
            "layout": GENERATION.layout,
            "tensors": ["input_ids", "lengths", *GENERATION.counts],
            "limits": asdict(limits_of(checkpoint)),
            "prompts": defaults.prompts,
            "tokenizer_sha256": sha256_of(tokenizer),
            "pieces_sha256": sha256_of(pieces) if read is not None else None,
            "start_token": defaults.start_token,
            "end_tokens": list(defaults.end_tokens),
            "first_token": defaults.first_token,
            "last_tokens": list(defaults.last_tokens),
            "never_tokens": list(defaults.never_tokens),
            "renormalizes": defaults.renormalizes,
            "languages": asdict(known.languages) if (known := languages_of(checkpoint.tokenizer)) else None,
            "shape": asdict(shape_of(checkpoint.model, len(checkpoint.tokenizer))),
            "engine": asdict(ENGINE),
            "runtime": runtime["name"],
            "hints": runtime["hints"],
            "requirements": asdict(way.engine.requirements(way.precision, {})),
            "graph_sha256": graphs,
        },
    )


def configs_of(certified: Sequence[tuple[Manifest, str]]) -> dict[str, pb.ModelConfig]:
    """The configurations of pipelines that generate, each with its certificate, by model name, the ensembles last.

    The step may answer a request with many responses, which makes it decoupled, and with it the ensemble that names its
    version and carries the certificate.
    """
    configs = {}
    for manifest, _ in certified:
        step = python_backend(inputs=_inputs(), outputs=_outputs())
        step.name = f"{manifest.name}_generate"
        step.max_batch_size = REQUESTS_AROUND
        step.dynamic_batching.SetInParent()
        step.model_transaction_policy.decoupled = True
        pin_versions(step, [manifest.version])
        configs[step.name] = step
    return configs | {manifest.name: _pipeline(manifest, certificate) for manifest, certificate in certified}


def _pipeline(manifest: Manifest, certificate: str) -> pb.ModelConfig:
    tensors = (*GENERATION.answers, *GENERATION.counts)
    step = step_of(f"{manifest.name}_generate", manifest.version, GENERATION.inputs, tensors)
    config = pb.ModelConfig(
        name=manifest.name,
        platform="ensemble",
        max_batch_size=REQUESTS_AROUND,
        input=_inputs(),
        output=_outputs(),
        ensemble_scheduling=pb.ModelEnsembling(step=[step]),
    )
    pin_versions(config, [manifest.version])
    for key, value in card(manifest, certificate).items():
        config.parameters[key].string_value = value
    return config


def _inputs() -> list[pb.ModelInput]:
    return [pb.ModelInput(name=name, data_type=pb.TYPE_STRING, dims=[-1]) for name in GENERATION.inputs]


def _outputs() -> list[pb.ModelOutput]:
    tensors = ((name, *GENERATION.tensor(name)) for name in (*GENERATION.answers, *GENERATION.counts))
    return [pb.ModelOutput(name=name, data_type=TYPES[kind], dims=[-1] * dims) for name, kind, dims in tensors]
