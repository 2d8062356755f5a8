"""A program in the place of `tritonserver`, for what the launcher does with one: it starts at once and uses no core.

It has a child process for each step, under the name of the Python backend's stubs, speaks gRPC and has a page of
metrics. When a step has died it answers as Triton does, and goes on. A file `answers_nobody` in its model repository
hangs it, one called `does_not_start` ends the next start, and `encode_dies` ends that step at the next text.
"""

import os
import subprocess
import sys
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

STEPS = ("tokenize", "encode", "head")
SLEEP = "import time\nwhile True: time.sleep(60)"


class Service(service_pb2_grpc.GRPCInferenceServiceServicer):
    """The pipeline `toy`; each text becomes one number."""

    def __init__(self, repository):
        self.repository = repository
        self.steps = {
            step: subprocess.Popen(
                [sys.executable, "-c", SLEEP, "triton_python_backend_stub", f"toy_{step}/1/model.py"]
            )
            for step in STEPS
        }
        self.answered = 0
        self.models = {"toy", *(f"toy_{step}" for step in STEPS)}

    def RepositoryIndex(self, request, context):
        models = [{"name": name, "version": "1", "state": "READY"} for name in sorted(self.models)]
        return service_pb2.RepositoryIndexResponse(models=models)

    def RepositoryModelUnload(self, request, context):
        self.models.discard(request.model_name)
        return service_pb2.RepositoryModelUnloadResponse()

    def ModelConfig(self, request, context):
        from encserve_repository.config_text import read_config

        response = service_pb2.ModelConfigResponse()
        response.config.CopyFrom(read_config(self.repository / request.name / "config.pbtxt"))
        return response

    def ModelInfer(self, request, context):
        from encserve._transport.wire import response_to_proto

        while (self.repository / "answers_nobody").exists():
            time.sleep(0.01)
        if (self.repository / "encode_dies").exists():
            self.steps["encode"].kill()
            os.waitid(os.P_PID, self.steps["encode"].pid, os.WEXITED | os.WNOWAIT)
        for step, process in self.steps.items():
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):  # which nobody waits for
                context.abort(grpc.StatusCode.INTERNAL, f"Stub process 'toy_{step}_0_0' is not healthy.")
        self.answered += 1
        count = request.inputs[0].shape[1]
        tensors = {
            "embedding": np.ones((1, count, 1), np.float32),
            "token_count": np.ones((1, count), np.int32),
            "dropped_count": np.zeros((1, count), np.int32),
        }
        return response_to_proto(tensors, model=request.model_name, version="1", request_id=request.id)


def serve_metrics(address, service):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f'nv_inference_request_success{{model="toy"}} {service.answered}\n'.encode())

        def log_message(self, *given):
            pass

    page = ThreadingHTTPServer(address, Handler)
    threading.Thread(target=page.serve_forever, daemon=True).start()


def main():
    flags = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if "=" in word)
    repository = Path(flags["model-repository"])
    if (repository / "does_not_start").exists():
        sys.exit("error: creating server: Internal - it does not start")
    service = Service(repository)
    serve_metrics((flags["metrics-address"], int(flags["metrics-port"])), service)
    server = grpc.server(futures.ThreadPoolExecutor(16))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    server.add_insecure_port(f"{flags['grpc-address']}:{flags['grpc-port']}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
