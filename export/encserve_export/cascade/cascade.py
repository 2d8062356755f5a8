"""One cascade, from two published pipelines to a published third, top to bottom."""

from __future__ import annotations

from typing import Any

from encserve import Client
from encserve_export.config import ExportConfig
from encserve_export.engines.engine import Say, Stage
from encserve_export.network.packed_graph import OPSET
from encserve_export.publication.publish import check_fits, publish, staged_version
from encserve_export.publication.tools import tool_versions
from encserve_repository.layout import CASCADE_STEPS
from encserve_repository.manifest import Manifest

from .asking import ask
from .config import CascadeConfig
from .files import REQUIREMENTS, configs_of, write_step
from .fitting import FittedCascade, check_count, fit_cascade
from .members import TASK, MemberPipeline, check_pair, common_limits, common_options, read_member
from .texts import FittingTexts, read_fitting_texts


def make_cascade(config: CascadeConfig, client: Client, *, stage: Stage, say: Say) -> Manifest:
    """Fit two pipelines to one, as the server behind `client` answers, and publish it; returns its certificate.

    Raises:
        ExportError: it cannot be, and nothing was published, unless it says so.
        EncserveError: the server does not answer; nothing was published.
    """
    small, large = read_member(config.repository, config.small), read_member(config.repository, config.large)
    check_pair(small, large)
    texts = read_fitting_texts(
        config.texts,
        small.manifest.labels,
        pairs=small.manifest.pairs,
        labelled=config.most_wrong is not None,
    )
    check_count(config, len(texts.texts))
    said = []
    for member in (small, large):
        with stage(f"asking {member.title} about {len(set(texts.texts))} texts"):
            said.append(ask(client, member, texts.texts))
    fitted = fit_cascade(config, texts.texts, *said)
    published = ExportConfig(  # of no checkpoint: what is published is named, and where
        checkpoint=f"{small.title}, {large.title}", name=config.name, repository=config.repository
    )
    with staged_version(published, CASCADE_STEPS) as staged:
        if staged.work.is_inside:
            say(f"working in {staged.work.path}, which a Triton that polls would see: no folder beside it can be used")
        manifest = _manifest(config, staged.version, (small, large), fitted, texts)
        check_fits(staged, [manifest], configs_of)
        write_step(small, large, fitted, staged.step_folders()["cascade"])
        return publish(staged, [manifest], published, configs_of)[0]


def _manifest(
    config: CascadeConfig,
    version: int,
    members: tuple[MemberPipeline, MemberPipeline],
    fitted: FittedCascade,
    texts: FittingTexts,
) -> Manifest:
    """The certificate, to which the files and their digests will be added."""
    small, large = members
    precisions = dict.fromkeys(member.manifest.precision for member in members)
    relaxed = {limit for member in members for limit in member.manifest.parity.get("relaxed", ())}
    return Manifest(
        name=config.name,
        version=version,
        task=TASK,
        precision=" and ".join(precisions),
        engine="python",
        requirements=REQUIREMENTS,
        checkpoint={"source": f"a cascade of {small.title} and {large.title}", "revision": None, "licence": None},
        cascade={
            "small": small.stated(),
            "large": large.stated(),
            "agreement": config.agreement,
            "most_wrong": config.most_wrong,
            "confidence": config.confidence,
            "texts": {"count": len(texts.texts), "distinct": len(set(texts.texts)), "sha256": texts.sha256},
            "fitted": fitted.stated(),
        },
        opset=OPSET,
        dimensions=small.manifest.dimensions,
        pooling=None,
        pairs=small.manifest.pairs,
        labels=small.manifest.labels,
        mask_token="",
        graph_inputs=(),
        limits=common_limits(small, large),
        token_budget=None,
        prompts={},
        option_defaults=_defaults(small, large),
        tokenizer_sha256="",
        parity={"relaxed": sorted(relaxed)},
        files={},
        tools=tool_versions(),
    )


def _defaults(small: MemberPipeline, large: MemberPipeline) -> dict[str, Any]:
    return {name: rule["default"] for name, rule in common_options(small, large).items()}
