"""`encserve cascade`: two classifiers to one pipeline, which asks the large one only where the small one is unsure."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encserve import Client
from encserve._commands.server_arguments import access_of, add_server_arguments

from .stages import say, stage

if TYPE_CHECKING:
    from encserve_repository.manifest import Manifest

SUMMARY = "make one pipeline of two classifiers: the large one is asked only where the small one is unsure"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("name", help="name of the new pipeline")
    parser.add_argument("--small", required=True, metavar="NAME", help="the pipeline that is asked about every text")
    parser.add_argument("--large", required=True, metavar="NAME", help="the one that is asked where that is unsure")
    parser.add_argument(
        "--texts",
        required=True,
        type=Path,
        metavar="FILE",
        help="texts drawn from those that are asked about, each as often as it is asked: one a line, or JSON lines in "
        "a file FILE.jsonl, with text, text_pair and label",
    )
    parser.add_argument(
        "--agreement",
        type=float,
        default=0.99,
        metavar="SHARE",
        help="of all texts, at least, with the first label that the large pipeline gives (default: %(default)g)",
    )
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="P", help="how sure that is to be (default: %(default)g)"
    )
    parser.add_argument(
        "--most-wrong",
        type=float,
        metavar="SHARE",
        help="of all texts, at most, that is answered wrongly and not marked for review; needs texts with labels, "
        "and twice as many, since it is fitted on a half of its own (default: nothing is marked)",
    )
    parser.add_argument(
        "--repository",
        type=Path,
        default=Path("model_repository"),
        help="the model repository of the server (default: %(default)s)",
    )
    add_server_arguments(parser, timeout_s=120.0)


def run(arguments: argparse.Namespace) -> int:
    """Fit and publish."""
    from encserve_export import require_extra

    require_extra()
    from encserve_export.cascade.asking import FreshTransport
    from encserve_export.cascade.cascade import make_cascade
    from encserve_export.cascade.config import CascadeConfig

    config = CascadeConfig(
        name=arguments.name,
        small=arguments.small,
        large=arguments.large,
        texts=arguments.texts,
        repository=arguments.repository,
        agreement=arguments.agreement,
        confidence=arguments.confidence,
        most_wrong=arguments.most_wrong,
    )
    access = access_of(arguments)
    transport = FreshTransport(arguments.url, tls=access.tls, api_key=access.api_key)
    with Client(transport=transport, timeout_s=arguments.timeout_s) as client:
        manifest = make_cascade(config, client, stage=stage, say=say)
    _report(manifest)
    return 0


def _report(manifest: Manifest) -> None:
    stated: dict[str, Any] = manifest.cascade
    fitted = stated["fitted"]
    small, large = (f"{each['model']} {each['version']}" for each in (stated["small"], stated["large"]))
    threshold = fitted["threshold"]
    print(f"published {manifest.name} version {manifest.version}: a cascade of {small} and {large}")
    half = ", one half of the file" if fitted["review"] else ""
    print(
        f"  {small} decides from a score of {threshold['threshold']:.6g} on: about {threshold['sure']} of "
        f"{threshold['texts']} texts{half}; {fitted['escalated']:.1%} go to {large}"
    )
    print(
        f"  of all texts at least {stated['agreement']:g} get the label of {large} (confidence "
        f"{stated['confidence']:g}): {threshold['wrong']} did not, at most {threshold['bound']:.3%} do not"
    )
    if review := fitted["review"]:
        print(
            f"  of all texts at most {stated['most_wrong']:g} are wrong and not marked (confidence "
            f"{stated['confidence']:g}): marked is what {large} gives less than {review['threshold']:.6g}, "
            f"{fitted['reviewed']:.1%}; of {review['texts']} texts, the other half, {review['wrong']} were wrong"
        )
    print(f"  texts a second: {fitted['speed_up']:.2f} times those of {large}, as both answered here")
    print("  a running server has it with its next start, or a later version with `encserve promote`")
