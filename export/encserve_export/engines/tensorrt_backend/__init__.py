"""The encode step in Triton's tensorrt backend: a plan for one GPU."""
