"""The manifest of a pipeline version: what it was made from, how, what was measured, and the digest of every file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .errors import Damaged

CONTRACT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The certificate of one version of a pipeline."""

    name: str
    version: int
    task: str
    precision: str
    engine: str
    runtime: dict[str, Any] = field(default_factory=dict)
    """The runtime of the engine `python`: its name, and the hints that it is given where it chooses the precision
    itself."""
    device: str | None = None
    """The device on which the engine computes, where that was chosen: "gpu" or "cpu"."""
    requirements: dict[str, Any]
    """The requirements of the version on the host that serves it, by the names of `encserve_server`'s
    `HostRequirements`."""
    made: dict[str, Any] = field(default_factory=dict)
    """The way in which the graph got its precision, where that is not FP32; of fp16 the nodes that stay FP32, with the
    reasons."""
    plan: dict[str, Any] = field(default_factory=dict)
    """The settings of the plan of the engine `tensorrt`: what it was built with and for, from `build_plan` of the
    exporter."""
    memory: dict[str, int] = field(default_factory=dict)
    """The worst case that the limits allow, in bytes beside the weights: of a micro-batch, a request and a batch, as
    far as the engine has such; and the requests of a batch that follow from it. Of the engine `python`, which computes
    several micro-batches at once, also what these take for each core that it may use. From the engine's
    `Built.memory`."""
    calibration: dict[str, Any] = field(default_factory=dict)
    """The texts of the calibration, where there was one: source, sha256, texts, tokens."""
    checkpoint: dict[str, Any]
    """The checkpoint: source, revision, licence, architecture; where it ran code of its own, `code`, the state of it;
    and where it names an encoder that is read beside it, `base`, the source and the revision of that."""
    head: str = ""
    """The name of the head of a shared encoder; empty for the first or only one."""
    body: str = ""
    """The pipeline whose encode step it uses; empty for its own."""
    adapters: dict[str, Any] = field(default_factory=dict)
    """The adapters that texts may ask for, by name, in the order of their numbers: source, digest, rank, layers, the
    modules of the head that it brings, and what it says that it was trained on."""
    cascade: dict[str, Any] = field(default_factory=dict)
    """The two pipelines that a cascade asks, what was stated of it, and what was fitted; empty where it is none."""
    opset: int
    dimensions: int
    """The columns of what the encode step gives: components of a vector, or labels."""
    columns: dict[str, int] = field(default_factory=dict)
    """The columns of each output of the encode step, by the name that the head has for it, where there are several."""
    pooling: str | None
    """The name of the pooling; None where a head of the checkpoint looks at the token vectors itself."""
    pairs: bool
    """Whether a request carries `text_pair` beside `text`."""
    labels: list[str]
    """The labels of the columns, in order; empty where the task has none."""
    mask_token: str
    """The text of a mask in a text; empty where the task has none."""
    mask_id: int | None = None
    """The token id of a mask; None where the graph is not asked for the logits of masks."""
    graph_inputs: tuple[str, ...]
    limits: dict[str, int]
    """The most that one request may ask for, by the names of `encserve_server.steps.tokenize.limits.Limits`."""
    token_budget: int | None
    """The most tokens of a micro-batch of the encode step; None for an engine that runs each batch as one pack."""
    added_tokens: int = 0
    """The most tokens that a text gets beside its own and the special ones around it, where queries and documents are
    marked and filled up."""
    prompts: dict[str, str]
    option_defaults: dict[str, Any]
    tokenizer_sha256: str
    parity: dict[str, Any]
    """Measured figures with their limits, from `certificate.certify`."""
    speed: dict[str, Any] = field(default_factory=dict)
    """Tokens per second of the encode step by the ways that were tried, and their ratios, on the host that made it, as
    `engines.speed.Speed` has them. Empty where what ran there is not what is served."""
    files: dict[str, str]
    """The sha256 of every file of this version, by path within the repository."""
    contract_version: int = CONTRACT_VERSION
    tools: dict[str, str]
    """The versions of what it was made with, by distribution."""

    def to_json(self) -> str:
        """Return the text of manifest.json."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def read_manifest(file: Path) -> Manifest:
    """Return the manifest in a manifest.json; keys that this release does not know are passed over.

    Raises:
        Damaged: it is no manifest, or one of an earlier release that lacks what this one needs.
        OSError: it cannot be read.
    """
    try:
        stated = json.loads(file.read_bytes())
        known = {each.name: each for each in fields(Manifest)}
        lacking = [name for name, each in known.items() if _required(each) and name not in stated]
        if lacking:
            raise Damaged(
                f"{file} lacks {', '.join(lacking)}: it is of another release of encserve; export the pipeline again"
            )
        taken = {name: value for name, value in stated.items() if name in known}
        return Manifest(**taken | {"graph_inputs": tuple(stated["graph_inputs"])})
    except (ValueError, TypeError) as error:
        raise Damaged(f"{file} is no manifest: {error}; export the pipeline again") from error


def _required(each: Any) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def sha256_of(file: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
