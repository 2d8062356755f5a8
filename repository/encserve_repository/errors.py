"""The errors of a model repository. Users of this package turn them into errors of their own."""

from __future__ import annotations


class RepositoryError(Exception):
    """The root of this package's errors; the message is a sentence for people."""


class Damaged(RepositoryError):
    """A file of the repository is missing, is not the certified one, or cannot be read as what it should be."""


class NotThere(RepositoryError):
    """The repository has no such pipeline, or no such version of it."""


class Busy(RepositoryError):
    """Another export or a promotion of the pipeline is running."""


class InTheWay(RepositoryError):
    """Something stands where a model would be put that encserve did not put there; it is never touched."""


class DoesNotFit(RepositoryError):
    """A version has other tensors or another backend than those that its models have already."""


class NotActive(RepositoryError):
    """A version is published, but could not be made the active one."""


class CannotWrite(RepositoryError):
    """The repository or its work folder cannot be written, or its disk is full."""
