"""``python -m … FOLDER LOCKS ARCHIVE``: a session whose classes make up the class-data sharing archive."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any


def main(folder: str, locks: str, archive: str) -> None:
    """Start a session, write and read a Delta table, and shut the JVM down properly, so that it writes the archive."""
    from marvel_assets.spark.local import LocalJvm

    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    from pyspark.sql import SparkSession

    settings = LocalJvm.prepare(Path(folder), Path(locks)).settings({}, f"-XX:ArchiveClassesAtExit={archive}")
    session = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    with tempfile.TemporaryDirectory() as scratch:
        rows = session.range(100).selectExpr("id", "CAST(id AS STRING) AS text", "md5(CAST(id AS STRING)) AS digest")
        for _ in range(2):
            rows.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(f"{scratch}/table")
        read = session.read.format("delta").option("versionAsOf", "0").load(f"{scratch}/table").orderBy("id").persist()
        read.createOrReplaceTempView("read")
        session.sql("SELECT text, count(*) FROM read GROUP BY text HAVING count(*) > 0").collect()
        session.sql("SELECT row_number() OVER (PARTITION BY digest ORDER BY id) AS place FROM read").count()
        read.write.parquet(f"{scratch}/parquet")
        session.read.parquet(f"{scratch}/parquet").count()
    gateway: Any = session.sparkContext._gateway  # noqa: SLF001
    session.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
