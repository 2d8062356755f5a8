"""The latency-load curve: fitted to what was measured, and held against what it had not seen."""
