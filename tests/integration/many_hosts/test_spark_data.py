"""The function for Spark that the documentation shows, in a real Spark on this host, through the real server."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("pyspark", reason="pyspark is not installed: make spark")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java: apt-get install default-jre-headless"),
]

PAGE = Path(__file__).parents[3] / "docs" / "bulk.md"
TEXTS = [f"text {number} of a frame " + "and more " * (number % 7) for number in range(200)]
JOB = """
import json, sys
from pyspark.sql import SparkSession

{shown}

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
frame = spark.createDataFrame(list(enumerate(json.loads(sys.argv[1]))), ["id", "text"])
frame.withColumn("vector", embed("text")).write.parquet(sys.argv[2])
"""


def test_the_documented_function_gives_what_the_sdk_gives(server, client, tmp_path):
    (shown,) = re.findall(r"```text\n(from pyspark.*?)```", PAGE.read_text(), re.DOTALL)
    addresses = '["host-a:8001", "host-b:8001"]'
    assert addresses in shown
    job = tmp_path / "job.py"
    job.write_text(JOB.format(shown=shown.replace(addresses, repr([server.grpc_url]))))
    paths = os.pathsep.join(filter(None, sys.path))
    environment = os.environ | {"PYTHONPATH": paths, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, str(job), json.dumps(TEXTS), str(tmp_path / "vectors")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    table = pq.read_table(tmp_path / "vectors").sort_by("id")
    assert table.column("id").to_pylist() == list(range(len(TEXTS)))
    vectors = np.array(table.column("vector").to_pylist(), np.float32)
    expected = client.embed(TEXTS, model="minilm", priority="bulk").vectors
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-6)
