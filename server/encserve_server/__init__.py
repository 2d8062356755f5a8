"""The local Triton launcher (`encserve serve`), and the models that run inside Triton's Python backend (`models/`)."""
