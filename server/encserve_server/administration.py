"""What an operator may tell a running Triton: load a model, or unload it."""

import json
from collections.abc import Mapping
from typing import Any

from tritonclient.grpc import service_pb2

from encserve import GrpcTransport

LOAD_TIMEOUT_S = 300.0


class Administration(GrpcTransport):
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
        with self._translating(model=model):
            self._stub.RepositoryModelLoad(request, timeout=LOAD_TIMEOUT_S, metadata=self._admin_metadata())

    def unload(self, model: str) -> None:
        """Unload a model, but not the steps of an ensemble."""
        request = service_pb2.RepositoryModelUnloadRequest(model_name=model)
        with self._translating(model=model):
            self._stub.RepositoryModelUnload(request, timeout=LOAD_TIMEOUT_S, metadata=self._admin_metadata())
