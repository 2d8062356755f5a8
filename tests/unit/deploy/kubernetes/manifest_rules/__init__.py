"""Rules that hold between manifests, which no schema knows; each with a change that it must find."""

from . import about_pods, about_scaling, about_services
from .rule import RULES

__all__ = ["RULES", "about_pods", "about_scaling", "about_services"]
