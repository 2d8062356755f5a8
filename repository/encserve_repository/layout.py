"""The layout of a model repository: which Triton models a pipeline is made of, and what its files are called.

    NAME/config.pbtxt            the ensemble as it is served: it names the active version
    NAME/3/manifest.json         the certificate of version 3
    NAME/3/baseline.json         of vectors: what those of the certificate's texts are like, for `encserve drift`
    NAME/3/config.pbtxt          the ensemble of version 3, which becomes NAME/config.pbtxt when that is activated
    NAME_tokenize/3/ ...         the steps: their files, and the config.pbtxt of that version
    NAME_encode/3/ ...           NAME_encode_tensorrt/3/ where the encode step is a plan
    NAME_head/3/ ...

A pipeline that generates has one step, NAME_generate, in the place of the three; so has a cascade, NAME_cascade, which
asks two pipelines. Pipelines with other heads on the same encoder, NAME-HEAD, use the encode step of NAME.
"""

from __future__ import annotations

import re

CONFIG_FILE = "config.pbtxt"
MANIFEST_FILE = "manifest.json"
BASELINE_FILE = "baseline.json"
STEPS = ("tokenize", "encode", "head")
GENERATE_STEPS = ("generate",)
"""The steps of a pipeline that generates texts."""
CASCADE_STEPS = ("cascade",)
"""The steps of a pipeline that asks two others."""
ALL_STEPS = (*STEPS, *GENERATE_STEPS, *CASCADE_STEPS)
PLAN_ENGINE = "tensorrt"
BUILD_LOG_FILE = "build.log"
"""Beside the manifest of a plan that was built in the background: what the build said."""
WARMUP_FOLDER = "warmup"
"""The folder, beside the versions of a model, of what Triton sends it before it is ready."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""The pattern of a pipeline's name; none begins with a dot, as hidden folders do."""
RESERVED_ENDINGS = (
    *(f"_{step}" for step in ALL_STEPS),
    f"_encode_{PLAN_ENGINE}",
    "_candidate",
)
"""The endings that no pipeline's name may have, since encserve makes models of such names."""


def encode_model(name: str, engine: str) -> str:
    """Return the Triton model that runs the encode step of the pipeline `name`.

    All versions of a model share one backend, so a plan has a model of its own beside that of other engines, and may
    follow them as the next version of the pipeline.
    """
    return f"{name}_encode_{PLAN_ENGINE}" if engine == PLAN_ENGINE else f"{name}_encode"


def step_models(name: str, body: str, engine: str, steps: tuple[str, ...] = STEPS) -> dict[str, str]:
    """Return the Triton models of the pipeline `name` by step; `body` is the pipeline whose encode step it uses, mostly
    itself."""
    return {step: encode_model(body, engine) if step == "encode" else f"{name}_{step}" for step in steps}


def candidate_model(name: str) -> str:
    """Return the ensemble through which a version is asked before it is promoted; only a running server has it."""
    return f"{name}_candidate"
