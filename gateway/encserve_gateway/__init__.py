"""HTTP before the pipelines, in the dialects that people's clients speak. It knows the SDK, and nothing of Triton."""
