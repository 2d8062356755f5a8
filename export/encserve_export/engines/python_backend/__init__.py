"""The encode step in Triton's Python backend, with ONNX Runtime or OpenVINO on the CPU."""
