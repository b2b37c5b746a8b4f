"""What Spark needs in the home, fetched and made once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from marvel_assets.spark.delta_jars import JarsError
from marvel_assets.spark.java import JavaError
from marvel_assets.spark.local import LocalJvm

if TYPE_CHECKING:
    from marvel_assets.paths import ProjectPaths


def prepare(home: ProjectPaths) -> None:
    """Fetch Delta's jars and make the class-data archive, in MARVEL_HOME."""
    try:
        jvm = LocalJvm.prepare(home.spark, home.locks)
        if not jvm.archive.exists():
            print("* Making the class-data archive that lets Spark start fast (half a minute, once)", flush=True)  # noqa: T201
            jvm.build_cds_archive()
    except (JavaError, JarsError) as error:
        sys.exit(str(error))
