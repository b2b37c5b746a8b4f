"""Generated characters, cleaned as the graph cleans them."""

from pathlib import Path

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from marvel_assets.config import ProjectConfig
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.model.estimators import LightGBM
from marvel_assets.model.pipeline import TRUSTED_TYPES
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.sources.resource import GeneratedSource
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets.training.fit import fit_from_config
from marvel_assets_tests.conftest import FEW_TREES
from marvel_assets_tests.kaggle import (
    FEATURES,
    NUMERIC_FEATURES,
    TARGET,
    cleaning_sql,
    digested_source_sql,
    split_sql,
)

FEATURE_NAMES = list(FEATURES)
CATEGORICAL = [name for name in FEATURE_NAMES if name not in NUMERIC_FEATURES]


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """Train and test rows of 4,000 generated characters. Not to be changed."""
    columns, found = [*FEATURE_NAMES, TARGET], {}
    with DuckDBEngine(scratch=str(tmp_path_factory.mktemp("cleaned"))).session() as session:
        session.read_source(GeneratedSource(4000, 7, DATASET), "delivered")
        session.create_table_as(digested_source_sql("delivered"), "raw_characters")
        session.create_table_as(cleaning_sql(), "cleaned_characters")
        for split in ("train", "test"):
            session.create_table_as(split_sql(split), split)
            rows = session.fetchall(f"SELECT {', '.join(columns)} FROM {split} ORDER BY Id")
            found[split] = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(NUMERIC_FEATURES, float))
    return found


@pytest.fixture(scope="session")
def fitted(way: ProjectConfig, sets: dict[str, pd.DataFrame]) -> Pipeline:
    """A small pipeline, fitted on the train rows."""
    return fit_from_config(way, sets["train"], 1)


@pytest.fixture(scope="session")
def basic_model(fitted: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that pipeline as a basic model. Not to be changed."""
    import mlflow

    folder = tmp_path_factory.mktemp("basic_model") / "model"
    mlflow.sklearn.save_model(
        fitted, folder, serialization_format="skops", skops_trusted_types=list(TRUSTED_TYPES), pip_requirements=[]
    )
    return folder


@pytest.fixture(scope="session")
def way() -> ProjectConfig:
    """The project's own configuration, with few trees."""
    config = ProjectConfig.from_yaml(PROJECT_ROOT / "config" / "project.yml")
    return config.model_copy(update={"model": LightGBM(**FEW_TREES)})
