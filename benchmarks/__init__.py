"""encserve beside its peers and beside what the machine can do at most: `python -m benchmarks --help`."""

import os

# Of all systems alike, before one imports ONNX Runtime; the environments of peers have no encserve that knows the name.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
