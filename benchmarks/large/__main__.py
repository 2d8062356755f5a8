"""What an embedding decoder of the sizes of Qwen3-Embedding-0.6B takes to be exported and served.

    python -m benchmarks.large [--precision int8 bf16] [--leave-mib 1500] [--keep FOLDER] [--tiny] [--write]

The checkpoint has random weights, and is made first. Each precision is exported by the command, with the certificate
of every export, served by a Triton server, and asked for sixteen texts. Memory is what all processes hold together,
seconds are by the clock and of processors. An export is ended where the machine has less than `--leave-mib` left.
`--write` puts the table into docs/performance.md, and `--tiny` is a rehearsal with a small network, whose figures say
nothing. `--keep` keeps the checkpoint for the next run, and the repositories, in which no run exports a second time.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.large.checkpoint import MAX_LENGTH, write_checkpoint
from benchmarks.large.memory import looking, run
from benchmarks.machine import describe_machine
from benchmarks.places import REPOSITORY_ROOT
from benchmarks.written import Marks, table
from encserve import Client
from encserve_server.config import ServeConfig
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.server import TritonServer

PAGE = REPOSITORY_ROOT / "docs" / "performance.md"
MARKS = Marks("<!-- benchmarks.large begins -->", "<!-- benchmarks.large ends -->")
NAME = "large"
HEADS = (
    "precision",
    "files",
    "export: seconds",
    "export: processor s",
    "export: memory",
    "server ready: seconds",
    "16 texts",
    "server: memory",
)
LENIENT = ("cosine_min=0.5", "cosine_mean=0.5", "neighbours=0", "max_abs_diff=2", "answers_max_abs_diff=2")
"""Random weights are a worse case than trained ones, and what precision leaves of them is not asked here."""
_GIB = 2**30


def main() -> None:
    """Write the checkpoint, export it in each precision, serve it, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16", "int8"], default=["int8", "bf16"])
    parser.add_argument("--leave-mib", type=int, default=1_500, help="end an export before less is left")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work here, and keep what is made")
    parser.add_argument("--tiny", action="store_true", help="a rehearsal with a small network")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    arguments = parser.parse_args()
    with ExitStack() as cleanup:
        work = arguments.keep or Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        repositories = {name: free_place(in_folder(work, name, tiny=arguments.tiny)) for name in arguments.precision}
        checkpoint = made_checkpoint(work, tiny=arguments.tiny)
        rows = [
            measured(precision, checkpoint, repository, leave_bytes=arguments.leave_mib * 2**20)
            for precision, repository in repositories.items()
        ]
    machine = describe_machine()
    text = (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; load at the end "
        f"{machine['load_before']}.\n\n{table(HEADS, rows)}"
    )
    print(text)
    if arguments.write and not arguments.tiny:
        MARKS.put(PAGE, f"\n{text}\n")


def in_folder(work: Path, name: str, *, tiny: bool) -> Path:
    """Where something is made, that of a rehearsal beside that of a run."""
    return work / (f"{name}-tiny" if tiny else name)


def free_place(repository: Path) -> Path:
    """Where nothing was exported yet. Raises SystemExit: there was, and its files would count beside the new ones."""
    if repository.exists():
        raise SystemExit(f"{repository} is there already; remove it, or let --keep name another folder")
    return repository


def made_checkpoint(work: Path, *, tiny: bool) -> Path:
    """The checkpoint, which an earlier run may have left: whole, as it has its name only then."""
    checkpoint = in_folder(work, "checkpoint", tiny=tiny)
    if not checkpoint.exists():
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=work) as unfinished:
            write_checkpoint(Path(unfinished) / "checkpoint", tiny=tiny).rename(checkpoint)
    return checkpoint


def measured(precision: str, checkpoint: Path, repository: Path, *, leave_bytes: int) -> list[str]:
    """A row of the table."""
    command = [sys.executable, "-m", "encserve", "export", str(checkpoint), "--name", NAME, "--precision", precision]
    command += ["--repository", str(repository), "--max-length", str(MAX_LENGTH)]
    command += [part for limit in LENIENT for part in ("--limits", limit)]
    began_s, before_s = time.monotonic(), _children_s()
    exporting = run(command, leave_bytes=leave_bytes)
    exported_s, processor_s = time.monotonic() - began_s, _children_s() - before_s
    http_port, grpc_port, metrics_port = free_ports(3)
    config = ServeConfig(
        repository=repository, models=(NAME,), http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port
    )
    began_s = time.monotonic()
    with TritonServer(config) as server, looking(lambda: [server.pid, *server.stub_pids()]) as serving:
        ready_s = time.monotonic() - began_s
        answered_s = _asked(server.grpc_url)
    files = sum(file.stat().st_size for file in repository.rglob("*") if file.is_file())
    return [
        precision,
        f"{files / _GIB:.2f} GiB",
        f"{exported_s:.0f}",
        f"{processor_s:.0f}",
        f"{exporting.most_bytes / _GIB:.1f} GiB",
        f"{ready_s:.0f}",
        f"{answered_s:.1f} s",
        f"{serving.most_bytes / _GIB:.1f} GiB",
    ]


def _asked(url: str) -> float:
    texts: Sequence[str] = [
        f"passage {number} about rivers, their floods and who measures them" for number in range(16)
    ]
    with Client(url, timeout_s=600) as client:
        began_s = time.monotonic()
        vectors = client.embed(texts, model=NAME).vectors
        answered_s = time.monotonic() - began_s
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3):
        raise SystemExit("the vectors are not of length 1")
    return answered_s


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
