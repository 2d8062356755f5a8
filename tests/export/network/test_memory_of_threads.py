"""What the threads of engine python take together, which is said for each core: the host that serves has its own."""

import threading

from encserve_export.export import export
from encserve_server.steps.encode.encoder import Encoder
from encserve_server.steps.encode.host.cores import usable_cores


def test_what_threads_take_together_is_said_for_each_core(export_config):
    """As many micro-batches at once as the encode step has threads for, in both lanes."""
    memory = export(export_config).memory
    others = set(threading.enumerate())
    with Encoder(export_config.repository / "tiny_encode/1", environment={}):
        own = set(threading.enumerate()) - others
        threads = sum(thread.name.startswith(("interactive-", "bulk-")) for thread in own)
        assert threads == memory["micro_batches_per_core"] * usable_cores()
    assert memory["bytes_per_core"] == memory["micro_batches_per_core"] * memory["micro_batch_bytes"]
