"""Certified pipelines in this process, without a server: see `encserve.local`."""

from .encoder import Encoder

__all__ = ["Encoder"]
