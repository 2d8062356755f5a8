"""A job in Ray Data as a program of its own, which a test kills and starts again."""

import json
import sys

import ray
from ray.data.checkpoint import CheckpointConfig

from encserve.ray import LocalPredictor, ServerPredictor

BLOCKS, BLOCK_BYTES, ROWS_AT_ONCE = 10, 32_768, 20
"""A job loses what is of a block that was not written: these are small, so that a kill finds some written and some
not."""


def main(kind, source, output, checkpoints, settings):
    """Read, ask and write, one small file after the other."""
    # Where a job goes on, Ray's own filter takes a CPU and reading another: two are enough for workers of 0 only.
    predictor, cpus, all_cpus = {"server": (ServerPredictor, 0, 2), "local": (LocalPredictor, 1, 4)}[kind]
    ray.init(num_cpus=all_cpus, include_dashboard=False, logging_level="error")
    context = ray.data.DataContext.get_current()
    context.checkpoint_config = CheckpointConfig(id_column="id", checkpoint_path=checkpoints)
    context.enable_progress_bars = False
    context.target_max_block_size = BLOCK_BYTES
    texts = ray.data.read_parquet(source, override_num_blocks=BLOCKS)
    answered = texts.map_batches(
        predictor,
        fn_constructor_kwargs=json.loads(settings),
        batch_format="pyarrow",
        batch_size=ROWS_AT_ONCE,
        num_cpus=cpus,
        compute=ray.data.ActorPoolStrategy(size=1),
    )
    answered.write_parquet(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
