"""Pipelines of several cells on one server."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from serving import serve_config

from encserve import Client
from encserve_export.config import ExportConfig
from encserve_export.export import export
from encserve_server.launcher.server import TritonServer

from .cells import make_checkpoint, network_class
from .comparisons import Reference, largest_difference


def model_name(case, task):
    return f"{case}-{task}".replace(" ", "-")


@dataclass
class Served:
    """A server with the cells that could be exported, and why the others could not."""

    folder: Path
    small: bool = False
    """Whether networks have one layer."""
    failures: dict = field(default_factory=dict)
    client: Client | None = None

    def export(self, case, task):
        """Make the checkpoint of a cell and export it. A failure is kept for the cell's own test."""
        name = model_name(case, task)
        try:
            folder = make_checkpoint(self.folder / "checkpoints" / name, case, task, small=self.small)
            export(ExportConfig(checkpoint=str(folder), name=name, repository=self.folder / "repository", task=task))
        except Exception as error:
            self.failures[case, task] = error

    def largest_difference(self, case, task):
        """The largest difference of the served cell from the reference."""
        if (case, task) in self.failures:
            raise self.failures[case, task]
        reference = Reference(self.folder / "checkpoints" / model_name(case, task), network_class(case, task))
        return largest_difference(task, self.client, model_name(case, task), reference)


@contextmanager
def serving(cells, folder, *, small=False):
    """Export `cells`, and serve them for as long as the block lasts."""
    served = Served(folder, small)
    for case, task in cells:
        served.export(case, task)
    if len(served.failures) == len(cells):
        yield served
        return
    config = serve_config(folder / "repository", exit_timeout_s=5)
    with TritonServer(config) as server, Client(server.grpc_url, timeout_s=300, texts_per_request=4) as client:
        served.client = client
        yield served
