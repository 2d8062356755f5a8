"""The queue of an encode step that one of Triton's C++ backends runs: Triton's own, since no code of ours is there.

It is bounded, two priorities wait in it, and a request whose timeout passes there is refused and not computed. Before
26.08 such a policy let the throughput collapse where batches also wait for a delay, so there is none.
"""

from __future__ import annotations

from tritonclient.grpc import model_config_pb2 as pb

PRIORITY_LEVELS = 2
"""Of the requests of KServe's own `priority`: 1 goes first, 2 is the default."""
MAX_QUEUED_REQUESTS = 256
"""In each priority; one more is refused at once."""
LONGEST_TIMEOUT_S = 3_600
"""Of a request that brings no timeout; Triton heeds the timeouts of requests only if they are below one of its own."""


def add_queue(config: pb.ModelConfig) -> None:
    """Bound the queue, and let requests with a priority go first."""
    batching = config.dynamic_batching
    batching.priority_levels = PRIORITY_LEVELS
    batching.default_priority_level = PRIORITY_LEVELS
    batching.default_queue_policy.CopyFrom(
        pb.ModelQueuePolicy(
            max_queue_size=MAX_QUEUED_REQUESTS,
            timeout_action=pb.ModelQueuePolicy.REJECT,
            default_timeout_microseconds=LONGEST_TIMEOUT_S * 1_000_000,
            allow_timeout_override=True,
        )
    )
