"""CTranslate2 as a model of Triton's Python backend."""
