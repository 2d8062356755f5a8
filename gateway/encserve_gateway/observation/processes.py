"""What several processes of one gateway share."""

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which they keep their numbers, so that each can show those of all."""
