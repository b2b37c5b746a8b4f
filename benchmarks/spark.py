"""Scoring by ``spark_udf``, over the bare pipeline on the same characters; and what each worker loads for it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.characters import training_rows
from benchmarks.graph import MARVEL_RUN, fresh_home
from benchmarks.measuring import Comparison, in_a_child
from benchmarks.spark_growth import with_spark
from marvel_assets.paths import ProjectPaths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

ROWS = 92_000
COPIES = 5
ROUNDS = 3
MODEL = "models:/marvel_dev.marvel_characters.marvel_character_model_custom@latest-model"
LOADING = """
import json, sys, time, psutil
before = psutil.Process().memory_info().rss
started = time.perf_counter()
import mlflow.pyfunc
imported = time.perf_counter()
mlflow.pyfunc.load_model(sys.argv[1])
loaded = time.perf_counter()
grown = psutil.Process().memory_info().rss - before
print(json.dumps({"importing": imported - started, "loading": loaded - imported, "grown": grown}))
"""
"""What a worker does once before its first batch."""


def scoring() -> Iterator[str]:
    """Two workers against one process that has the model and the rows already."""
    with fresh_home(ROWS) as (_, environment):
        in_a_child(MARVEL_RUN, environment)
        environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # where uv is
        for environments, whose in (("local", "the workers' own environment"), ("uv", "one of the model's own")):
            output = in_a_child(("-m", "benchmarks.spark", environments), environment).output
            figures = json.loads(output.strip().splitlines()[-1])
            once = (
                f"the first time {figures['first']:.0f} s: a worker imports for {figures['importing']:.1f} s, loads "
                f"{figures['model bytes'] / 1e6:.1f} MB in {figures['loading']:.1f} s, and grows by "
                f"{figures['grown'] / 1e6:.0f} MB"
            )
            what = f"scoring {figures['rows']:,} characters by spark_udf on {figures['workers']} workers in {whose}"
            yield Comparison(figures["spark"], figures["bare"]).row(f"{what} / bare pipeline on one core ({once})", 2.0)


def main(environments: str) -> None:
    """Score the training rows of a home by Spark, several times, and by the bare pipeline; print the seconds.

    Args:
        environments: MLflow's name of what makes the environment that workers predict in.
    """
    import mlflow

    from marvel_assets.defs.resources import spark
    from marvel_assets.tracking.mlflow_store import connect

    home = ProjectPaths.from_environment()
    connect(home.mlflow_uri, home.locks)
    with_spark(home, {"spark.sql.shuffle.partitions": "2"})
    session: SparkSession = spark(home)["spark"].session()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(mlflow.artifacts.download_artifacts(MODEL, dst_path=folder))
        model = mlflow.pyfunc.load_model(str(path))
        pipeline = model.unwrap_python_model().model
        frame = training_rows(home, list(pipeline.feature_names_in_), COPIES)
        file = Path(folder, "characters.parquet")
        frame.to_parquet(file, row_group_size=50_000)
        answer = mlflow.pyfunc.spark_udf(session, MODEL, result_type="string", env_manager=environments)
        rows = session.read.parquet(str(file)).repartition(4)
        scored = rows.select(answer(*pipeline.feature_names_in_).alias("said"))
        spark_seconds, bare_seconds = [], []
        for _ in range(ROUNDS + 1):
            started = time.perf_counter()
            scored.groupBy("said").count().collect()
            spark_seconds.append(time.perf_counter() - started)
            started = time.perf_counter()
            pipeline.predict(frame)
            bare_seconds.append(time.perf_counter() - started)
        loaded = in_a_child(("-c", LOADING, str(path)), {})
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        workers = session.sparkContext.defaultParallelism
    figures = {
        "rows": len(frame),
        "workers": workers,
        "first": spark_seconds[0],
        "spark": spark_seconds[1:],
        "bare": bare_seconds[1:],
        "model bytes": size,
        **json.loads(loaded.output.strip().splitlines()[-1]),
        "load": os.getloadavg()[0],
    }
    session.stop()
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1])
