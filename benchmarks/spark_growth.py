"""Reading and cleaning on Spark: seconds, and what the driver and the shuffles hold, by Spark's own event log."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.graph import fresh_home
from benchmarks.measuring import peak_of_this_process
from marvel_assets.config import Generator
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.spark.local import local_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import SparkSession

EXECUTORS = "local-cluster[2,1,3072]"
"""Two JVMs of one core and 3 GB each, beside the driver's."""
DRIVER = "1g"
PARTITIONS = 8


def main(rows: int) -> None:
    """Read a CSV of so many rows and clean it with executors in processes of their own; print what it took."""
    from benchmarks.tables import clean
    from marvel_assets.datasets.marvel_kaggle import DATASET
    from marvel_assets.datasets.statements import digested_source_sql
    from marvel_assets.defs.resources import spark
    from marvel_assets.sources.resource import locate

    with tempfile.TemporaryDirectory() as events, fresh_home(rows) as (home, environment):
        with_spark(home, settings(Path(events)))
        resources = spark(home)
        session = resources["spark"].session()
        name = resources["project"].config.qualified("raw_characters")
        started = time.perf_counter()
        with resources["engine"].session() as engine:
            engine.read_source(locate(environment["MARVEL_SOURCE"], home.root, DATASET, Generator()), "delivered")
            staged = time.perf_counter()
            engine.create_view(digested_source_sql(DATASET, "delivered"), "raw_characters")
            raw = resources["tables"].write_if_changed(engine, "raw_characters", name, {}).table
        written = time.perf_counter()
        clean(home, resources, raw)
        cleaned = time.perf_counter()
        heap = peak_heap_of_the_driver(session)
        session.stop()
        figures = {
            "rows": rows,
            "staging the source": staged - started,
            "writing raw_characters": written - staged,
            "cleaning, split, three tables": cleaned - written,
            "peak of this process": peak_of_this_process(),
            "peak heap of the driver": heap,
            "load": os.getloadavg()[0],
            **task_totals(Path(events)),
        }
    print(json.dumps(figures))


def with_spark(home: ProjectPaths, own: Mapping[str, str]) -> None:
    """Let a home find the jars and the class-data archive of this checkout, and Spark its settings."""
    kept = ProjectPaths(PROJECT_ROOT / ".marvel")
    local_settings(kept.spark)
    if not home.spark.exists():
        home.spark.symlink_to(kept.spark, target_is_directory=True)
    os.environ["MARVEL_SPARK_SETTINGS"] = " ".join(f"{name}={value}" for name, value in own.items())


def settings(events: Path) -> Mapping[str, str]:
    """Of the session: several executors, and a log of what they do."""
    return {
        "spark.master": EXECUTORS,
        "spark.driver.memory": DRIVER,
        "spark.executor.memory": "3g",
        "spark.sql.shuffle.partitions": str(PARTITIONS),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
    }


def peak_heap_of_the_driver(session: SparkSession) -> int:
    """The most that each pool of the driver's heap held, together."""
    beans = session.sparkContext._jvm.java.lang.management.ManagementFactory.getMemoryPoolMXBeans()  # type: ignore[union-attr]  # noqa: SLF001
    return sum(int(bean.getPeakUsage().getUsed()) for bean in beans if bean.getType().toString() == "Heap memory")


def task_totals(events: Path) -> dict[str, int]:
    """What all tasks together read, shuffled, spilled, wrote, and sent to the driver, in bytes."""
    totals: Counter[str] = Counter()
    executors = set()
    for log in (path for path in events.rglob("*") if path.is_file()):
        for line in log.read_text().splitlines():
            event = json.loads(line)
            if event["Event"] != "SparkListenerTaskEnd" or not event.get("Task Metrics"):
                continue
            metrics = event["Task Metrics"]
            executors.add(event["Task Info"]["Executor ID"])
            totals["tasks"] += 1
            totals["task seconds"] += metrics["Executor Run Time"] // 1000
            totals["input"] += metrics["Input Metrics"]["Bytes Read"]
            totals["output"] += metrics["Output Metrics"]["Bytes Written"]
            totals["shuffled"] += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
            totals["spilled to disk"] += metrics["Disk Bytes Spilled"]
            totals["spilled from memory"] += metrics["Memory Bytes Spilled"]
            totals["results sent to the driver"] += metrics["Result Size"]
            totals["garbage collection seconds"] += metrics["JVM GC Time"] // 1000
    return {**totals, "executors": len(executors)}


if __name__ == "__main__":
    main(int(sys.argv[1]))
