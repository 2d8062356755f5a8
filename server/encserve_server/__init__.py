"""The local Triton launcher (`encserve serve`), and the steps that run inside Triton's Python backend (`steps/`)."""
