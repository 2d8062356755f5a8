"""The calls by which an operator has a running Triton load and unload models."""

import json
from collections.abc import Mapping
from typing import Any

from tritonclient.grpc import service_pb2

from encserve_server.host.own_address import OwnHostTransport

LOAD_TIMEOUT_S = 300.0
UNLOADING = "UNLOADING"
"""The state, in Triton's index of its models, of a model that has requests and takes no new ones."""


class Administration(OwnHostTransport):
    """A channel for an operator; it sends the secret of the server's administration."""

    def load(
        self, model: str, *, config: Mapping[str, Any] | None = None, files: Mapping[str, bytes] | None = None
    ) -> None:
        """Load a model as the repository has it, or as `config` and `files` say, by path within its folder.

        What is served goes on being served until the new is ready, and if it does not become so.
        """
        request = service_pb2.RepositoryModelLoadRequest(model_name=model)
        if config is not None:
            request.parameters["config"].string_param = json.dumps(config)
        for path, content in (files or {}).items():
            request.parameters[f"file:{path}"].bytes_param = content
        self.ask("RepositoryModelLoad", request, timeout_s=LOAD_TIMEOUT_S, operator=True)

    def unload(self, model: str, *, timeout_s: float = LOAD_TIMEOUT_S) -> None:
        """Unload a model, but not the steps of an ensemble. Triton ends the requests that it has begun, and does not
        wait for that; see `unloading`."""
        request = service_pb2.RepositoryModelUnloadRequest(model_name=model)
        self.ask("RepositoryModelUnload", request, timeout_s=timeout_s, operator=True)

    def unloading(self, *, timeout_s: float) -> set[str]:
        """Return the models that were unloaded and still have requests, an ensemble from its first step to its last."""
        request = service_pb2.RepositoryIndexRequest()
        index = self.ask("RepositoryIndex", request, timeout_s=timeout_s, operator=True)
        return {model.name for model in index.models if model.state == UNLOADING}
