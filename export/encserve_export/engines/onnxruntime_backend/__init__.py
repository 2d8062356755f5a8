"""The encode step in Triton's C++ onnxruntime backend, on the CPU or on a GPU."""
