"""Spans of what becomes of a request in a step, for a collector of OpenTelemetry."""
