"""Pipelines in Ray Data, through servers or in its workers: see `encserve.ray`."""
