"""Which resources make up a profile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from marvel_assets.resources.engines.duckdb_engine import DuckDBEngine
from marvel_assets.resources.pipeline_store import PipelineIOManager, PipelineStore
from marvel_assets.resources.project import Project
from marvel_assets.resources.reference_io_manager import ReferenceIOManager
from marvel_assets.resources.sources import Sources
from marvel_assets.resources.spark import Spark
from marvel_assets.resources.tables import Tables
from marvel_assets.resources.tracking import MlflowTracking
from marvel_assets.resources.unity_catalog.resource import UnityCatalog
from marvel_assets.resources.wheel_builder import WheelBuilder

if TYPE_CHECKING:
    from marvel_assets.home import Home


def embedded(home: Home) -> dict[str, Any]:
    """Everything in this process and under one folder: no JVM, no server, no account."""
    locks = str(home.locks)
    pipeline_store = PipelineStore(folder=str(home.pipelines), locks=locks)
    store = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home.mlflow_database}"
    return {
        "project": Project.from_environment(),
        "sources": Sources.from_environment(home.scratch),
        "engine": DuckDBEngine(scratch=str(home.scratch)),
        "tables": Tables(warehouse=str(home.warehouse), locks=locks),
        "pipeline_store": pipeline_store,
        "tracking": MlflowTracking(
            tracking_uri=store,
            artifact_root=str(home.mlflow_artifacts),
            locks=locks,
            ui_url=os.environ.get("MARVEL_MLFLOW_URL") or "http://127.0.0.1:5000",
        ),
        "unity_catalog": UnityCatalog(registry_uri=store, locks=locks),
        "wheel_builder": WheelBuilder(folder=str(home.wheels)),
        "spark": Spark(),
        "references": ReferenceIOManager(folder=str(home.references)),
        "pipelines": PipelineIOManager(store=pipeline_store, folder=str(home.references)),
    }
