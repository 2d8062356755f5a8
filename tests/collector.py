"""A collector of OpenTelemetry: OTLP over HTTP, in protobuf or JSON, on a port of its own."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

IDS = frozenset({"traceId", "spanId", "parentSpanId"})
"""Fields that OTLP's JSON has in hexadecimal, where protobuf's own has base64."""


class Collector:
    """What it was told."""

    def __init__(self):
        self.url = ""
        self.paths, self.services, self.spans = set(), set(), []
        self.bodies = b""
        self.close = lambda: None
        """Ends it, before the block does."""

    def take(self, path, body, media_type):
        self.paths.add(path)
        self.bodies += body
        told = from_json(body) if media_type == "application/json" else ExportTraceServiceRequest.FromString(body)
        for resource in told.resource_spans:
            self.services.add(attributes(resource.resource)["service.name"])
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def named(self, name):
        """The spans of that name, in the order of their beginnings."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.start_time_unix_nano)


def from_json(body):
    """What Triton sends, which has no other form."""

    def with_ids(each):
        return {
            name: base64.b64encode(bytes.fromhex(value)).decode() if name in IDS else value
            for name, value in each.items()
        }

    return json_format.ParseDict(json.loads(body, object_hook=with_ids), ExportTraceServiceRequest())


def attributes(of):
    """The attributes of a span or a resource, by name."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


@contextmanager
def collecting():
    """A collector that listens while the block lasts."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            media_type = self.headers["content-type"]
            collector.take(self.path, self.rfile.read(int(self.headers["content-length"])), media_type)
            response = ExportTraceServiceResponse()
            is_json = media_type == "application/json"
            self.send_response(200)
            self.send_header("content-type", media_type)
            self.end_headers()
            self.wfile.write(b"{}" if is_json else response.SerializeToString())

        def log_message(self, format, *arguments):
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def close():
            server.shutdown()
            thread.join()
            server.server_close()

        collector.close = close
        try:
            yield collector
        finally:
            close()
