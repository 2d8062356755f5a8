"""`encserve export`: a checkpoint to a certified pipeline in a model repository."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from encserve_export import require_extra
from encserve_export.commands.stages import say, stage
from encserve_export.config import TOKEN_BUDGET

SUMMARY = "turn a Hugging Face checkpoint into a certified Triton pipeline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "checkpoint", help="a checkpoint folder, or a hub id such as sentence-transformers/all-MiniLM-L6-v2"
    )
    parser.add_argument("--name", required=True, help="name of the pipeline")
    parser.add_argument(
        "--head",
        action="append",
        default=[],
        metavar="HEAD=CHECKPOINT",
        help="another checkpoint on the same encoder, served as the pipeline NAME-HEAD by the same encode step; "
        "may be given several times",
    )
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="a LoRA adapter as PEFT saves it, which requests ask for by its name, any of them side by side in one "
        "batch; of --precision fp32 on --engine python; may be given several times; none: without those that the "
        "checkpoint brings",
    )
    parser.add_argument("--task", help="Hugging Face task name (default: read from the checkpoint)")
    parser.add_argument(
        "--pairs", action="store_true", help="text-classification of pairs of texts, as entailment or paraphrase"
    )
    parser.add_argument(
        "--precision",
        choices=["fp32", "fp16", "bf16", "int8", "auto"],
        default="fp32",
        help="type of the graph; fp16 is for --engine onnxruntime or tensorrt on a GPU, bf16 for --engine python, "
        "int8 for --engine python or tensorrt; auto: the fastest by measurement on this host whose certificate holds "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--runtime",
        choices=["onnxruntime", "openvino", "auto"],
        help="of --engine python; auto: the fastest by measurement on this host whose certificate holds (default: "
        "onnxruntime, or openvino for bf16)",
    )
    parser.add_argument(
        "--engine",
        default="python",
        help="python: ONNX Runtime or OpenVINO in Triton's Python backend, runs everywhere; "
        "onnxruntime: Triton's C++ backend, on a CPU or a GPU; tensorrt: a plan for the GPU of this host "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--build",
        choices=["foreground", "background"],
        default="foreground",
        help="of engine tensorrt: background publishes a version for onnxruntime at once, and the plan as the next one "
        "when it is built and certified (default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        choices=["gpu", "cpu"],
        help="of engine onnxruntime: where it computes (default: cpu; gpu for fp16, which no CPU has)",
    )
    parser.add_argument(
        "--max-length", type=int, metavar="N", help="tokens of a text that count (default: the checkpoint's)"
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="texts like those that will be served, one a line, or JSON lines in FILE.jsonl: int8 looks at two thirds, "
        "and a third is held out (default: the calibration part of encserve's own corpus)",
    )
    parser.add_argument(
        "--calibration-field", default="text", metavar="FIELD", help="of a JSON line (default: %(default)s)"
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE.jsonl",
        help="of text-classification: texts whose labels are known, JSON lines with text and label, so that callers "
        "may ask for probabilities: two thirds fit a temperature, and a third says what it is worth",
    )
    parser.add_argument(
        "--certify",
        choices=["quick", "full"],
        default="quick",
        help="how many texts the certificate asks: 200, and more as far as there is time; or the whole corpus "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--limits",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="a limit of the certificate in place of the precision's own, or a JSON file of such; the manifest says so",
    )
    parser.add_argument(
        "--token-budget",
        type=int,
        metavar="N",
        help=f"tokens of a micro-batch of engine python; `encserve plan --tune` tries others (default: {TOKEN_BUDGET})",
    )
    parser.add_argument("--revision", metavar="SHA", help="commit or tag of a hub checkpoint")
    parser.add_argument(
        "--base-revision",
        metavar="SHA",
        help="commit or tag of the encoder that a GLiNER checkpoint names, where it does not bring that one's "
        "configuration and tokenizer (default: the newest; the manifest says which)",
    )
    parser.add_argument("--allow-pickle", action="store_true", help="accept weights in a pickle, which can run code")
    parser.add_argument(
        "--trust-remote-code",
        metavar="REVISION",
        help="run the Python code that the checkpoint brings, in exactly this state: the commit of a hub checkpoint, "
        "as --revision names it, or the digest of a folder's .py files, which the refusal without this option prints",
    )
    parser.add_argument(
        "--activate",
        action=argparse.BooleanOptionalAction,
        help="whether a server serves this version from its next start on (default: unless one runs on the repository "
        "now; that takes it with `encserve promote`; a first version always)",
    )
    parser.add_argument(
        "--repository", type=Path, default=Path("model_repository"), help="model repository (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Export, and say what was published."""
    require_extra()
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with stage("starting"):
        from transformers.utils import logging as transformers_logging

        from encserve_export.certificate.limits import parse_limits
        from encserve_export.config import Device, ExportConfig, Precision, Runtime
        from encserve_repository.builds import build_of

        from .background import export_ahead, start_build
        from .publishing import publish

        # What transformers warns of is checked here and refused, and reading weights takes no time.
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        heads = _named(arguments.head, "--head", "HEAD=CHECKPOINT")
        own_adapters = arguments.adapter != ["none"]
        adapters = _named(arguments.adapter, "--adapter", "NAME=FOLDER") if own_adapters else {}
        config = ExportConfig(
            heads=heads,
            adapters=adapters,
            own_adapters=own_adapters,
            checkpoint=arguments.checkpoint,
            name=arguments.name,
            repository=arguments.repository,
            task=arguments.task,
            pairs=arguments.pairs,
            precision=None if arguments.precision == "auto" else Precision(arguments.precision),
            engine=arguments.engine,
            runtime=None if arguments.runtime in (None, "auto") else Runtime(arguments.runtime),
            compare_runtimes=arguments.runtime == "auto",
            calibration=arguments.calibration,
            calibration_field=arguments.calibration_field,
            labels=arguments.labels,
            certify_all=arguments.certify == "full",
            limits=parse_limits(arguments.limits),
            device=Device(arguments.device) if arguments.device else None,
            max_length=arguments.max_length,
            token_budget=arguments.token_budget,
            revision=arguments.revision,
            base_revision=arguments.base_revision,
            allow_pickle=arguments.allow_pickle,
            trust_remote_code=arguments.trust_remote_code,
            activate=arguments.activate,
        )
    if build := str(build_of(config.repository, config.name)):
        say(build)
    if arguments.build == "foreground":
        publish(config)
        return 0
    export_ahead(config, publish)
    process, log = start_build(config)
    print(f"building a plan in process {process.pid}; {log} has what it says until it is published as the next version")
    return 0


def _named(arguments: Sequence[str], flag: str, form: str) -> dict[str, str]:
    """What a flag was given, by name. Raises InvalidConfig."""
    from encserve_export.errors import InvalidConfig

    named: dict[str, str] = {}
    for given in arguments:
        name, _, value = given.partition("=")
        if not name or not value or name in named:
            raise InvalidConfig(f"{flag} {given!r}: {form} is expected, each {form.partition('=')[0].lower()} once")
        named[name] = value
    return named
