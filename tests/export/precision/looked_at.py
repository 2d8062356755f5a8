"""Statistics of rows that are at hand."""

from encserve_export.precision.layers.linear import RunningStatistics


def statistics_of(rows):
    """Of all of them, looked at in one part."""
    running = RunningStatistics(rows)
    running.add(rows)
    return running.so_far()
