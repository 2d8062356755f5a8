"""`encserve baseline`: freeze what the vectors of your texts are like, which `encserve drift` compares others with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encserve import EncserveError, InvalidInput, PipelineInfo
from encserve._commands.server_arguments import add_server_arguments, open_client
from encserve_repository.baseline import LEAST_TEXTS, Baseline

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUMMARY = "freeze what vectors of your texts are like, for `encserve drift`"
TIMEOUT_S = 600.0
TASK = "feature-extraction"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="the pipeline, of vectors")
    parser.add_argument(
        "--texts",
        type=Path,
        required=True,
        metavar="FILE",
        help="texts as they are served, each as often as it comes: one a line, or JSON lines in FILE.jsonl with text",
    )
    parser.add_argument("--prompt-name", metavar="NAME", help="the prompt that callers ask with")
    parser.add_argument(
        "--output", type=Path, metavar="FILE.json", help="the baseline (default: NAME-baseline.json in this folder)"
    )
    add_server_arguments(parser, timeout_s=TIMEOUT_S)


def run(arguments: argparse.Namespace) -> int:
    """Ask the server for the vectors, and write their mean and covariance. No text or vector is kept.

    Raises:
        InvalidInput: the file has too few texts, the pipeline is none of vectors, or the output cannot be written.
    """
    from encserve_lifecycle.comparison.reading import read_lines

    texts = [fields["text"] for _, fields in read_lines(arguments.texts)]
    if len(texts) < LEAST_TEXTS:
        raise InvalidInput(f"{arguments.texts} has {len(texts)} texts; {LEAST_TEXTS} are the least for a baseline")
    output = arguments.output or Path(f"{arguments.name}-baseline.json")
    if output.is_dir() or not output.parent.is_dir():
        raise InvalidInput(f"the baseline {output} cannot be written: it is a folder, or its folder is not there")
    with open_client(arguments) as client:
        check_task(client.pipeline(arguments.name))
        answer = client.embed(texts, model=arguments.name, prompt_name=arguments.prompt_name, priority="bulk")
    baseline = baseline_of(
        answer.vectors,
        pipeline=arguments.name,
        version=int(answer.version),
        certificate=answer.certificate,
        source=f"texts of {arguments.texts.name}",
    )
    try:
        output.write_text(baseline.to_json(), encoding="utf-8")
    except OSError as error:
        raise EncserveError(f"the baseline {output} cannot be written: {error.strerror}") from error
    print(f"{output}: the vectors of {len(texts):,} texts by version {answer.version} of {arguments.name}")
    return 0


def check_task(pipeline: PipelineInfo) -> None:
    """Refuse a pipeline that has not one vector for each text. Raises InvalidInput."""
    if pipeline.task != TASK:
        raise InvalidInput(f"{pipeline.name!r} does {pipeline.task}; a baseline is of vectors, of {TASK}")


def baseline_of(vectors: NDArray[Any], *, pipeline: str, version: int, certificate: str, source: str) -> Baseline:
    """Return what vectors (n, width), `LEAST_TEXTS` or more, are like."""
    import numpy as np

    from encserve_server.steps.head.projection import projected

    along = projected(vectors)
    return Baseline(
        pipeline=pipeline,
        version=version,
        certificate=certificate,
        source=source,
        texts=len(along),
        mean=along.mean(axis=0).tolist(),
        covariance=np.cov(along, rowvar=False).tolist(),
    )
