"""Processes, threads and signals: what the launcher starts ends with it, in order or not, and no fault is silent."""
