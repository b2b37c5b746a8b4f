"""Fits and logs a model, each once per cache key."""

import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from marvel_assets.config import ProjectConfig
from marvel_assets.datasets.base import IDENTIFIER
from marvel_assets.registry.model_pairs import BASIC_MODEL
from marvel_assets.storage.pipeline_cache import FittedPipeline, PipelineCache
from marvel_assets.storage.references import LoggedModelRef, TableVersion
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.mlflow_resource import MlflowTracking
from marvel_assets.utils.code_versions import code_version, make_cache_key

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from marvel_assets.tracking.model_logging import DataSet

# A fit gets its classifier from the configuration, without an import.
FIT_MODULES = "marvel_assets.training.fit", "marvel_assets.training.dataset", "marvel_assets.model.estimators"
FIT_CODE_VERSION = code_version(*FIT_MODULES)
DISTRIBUTED_FIT_CODE_VERSION = code_version("marvel_assets.training.distributed", "marvel_assets.storage.table_scan")
LOG_CODE_VERSION = code_version("marvel_assets.tracking.model_logging", "marvel_assets.training.dataset")
EXCERPT_ROWS = 1000
LOG = dg.get_dagster_logger()


class Distribution(dg.Config):
    """A distributed fit: several processes, none of which holds all rows."""

    workers: int = Field(ge=1, description="Number of processes that share the training rows.")
    scheduler: str | None = Field(default=None, description="Of Dask, tcp://host:port. Default: local processes.")


PARAMETERS = "Arguments of the classifier that replace those in project.yml, by name, such as n_estimators: 300."


class FitConfig(dg.Config):
    """Parameters, rows and processes of the fit."""

    parameters: dict[str, Any] = Field(default={}, description=PARAMETERS)
    threads: int | None = Field(default=None, ge=1, description="Threads that the fit uses. Default: one per core.")
    sample: float = Field(default=1.0, gt=0, le=1, description="Share of the training rows, by a hash of their ids.")
    distribution: Distribution | None = Field(default=None, description="Several processes. Default: only this one.")


def fit_once(
    config: FitConfig, train_set: TableVersion, settings: ProjectConfig, tables: Tables, pipeline_cache: PipelineCache
) -> tuple[FittedPipeline, bool]:
    """The pipeline of these settings, and whether it had to be fitted."""
    parameters, workers = settings.fit_settings, config.distribution.workers if config.distribution else 0
    rules = settings.features, settings.fit_rules, sorted(parameters.items())
    code = FIT_CODE_VERSION, version(settings.model.library), version("scikit-learn")
    # The number of workers matters, not where they are.
    distributed = (workers, DISTRIBUTED_FIT_CODE_VERSION) if workers else ()
    cache_key = make_cache_key(train_set.content, *rules, *code, f"sample {config.sample}", *distributed)
    with pipeline_cache.lock(cache_key):
        if found := pipeline_cache.find(cache_key):
            LOG.info(f"Pipeline {cache_key[:12]} on {found.trained_on}: unchanged")
            return found, False
        from marvel_assets.model.pipeline import default_threads  # after a look at the cache: it imports scikit-learn

        # In a Dask worker, one thread unless more are configured.
        threads = config.threads or (1 if workers else default_threads())
        started, sample = time.monotonic(), config.sample
        pipeline, rows, digest = _fit(config, threads, train_set, settings, tables)
        seconds, codes = time.monotonic() - started, pipeline.named_steps["encode"].infrequent_codes_
        if rare := [name for name, code in codes.items() if code == 0]:  # no value has its own code
            LOG.warning(
                f"{', '.join(rare)}: every value has fewer than {settings.min_frequency} training rows, so that "
                "all share one code and the model learns nothing from them; lower min_frequency"
            )
        fitted = FittedPipeline(cache_key, train_set, digest, rows, sample, workers, parameters, seconds, threads)
        return pipeline_cache.store(pipeline, fitted), True


def _fit(
    config: FitConfig, threads: int, train_set: TableVersion, settings: ProjectConfig, tables: Tables
) -> tuple["Pipeline", int, str]:
    """Fit in this process or on workers; returns the pipeline, and number and digest of its rows."""
    from marvel_assets.training.dataset import dataset_columns, rows_digest, sum_of_rows, to_frame
    from marvel_assets.training.fit import fit_from_config, pipeline_from_config

    features, target, trees = settings.features, settings.target, f"{settings.model.max_trees:,} trees"
    columns = dataset_columns(features, target)
    if config.distribution is None:
        read = tables.read(train_set, columns, config.sample)
        rows = to_frame(read, features, target)
        if settings.early_stopping:
            rows.index = read[IDENTIFIER].to_pandas()
            trees = f"up to {trees}"
        del read  # otherwise every row would be in memory twice during the fit
        LOG.info(f"Fitting {trees} on {len(rows):,} rows, {threads} thread(s)")
        pipeline = fit_from_config(settings, rows, threads, LOG.info)
        return pipeline, len(rows), rows_digest([sum_of_rows(rows)])
    if not settings.model.distributes or settings.early_stopping or settings.native_categories:
        raise dg.Failure(
            "A distributed fit needs model.kind lightgbm, without early_stopping and native_categories; change that, "
            "or remove `distribution` from the configuration of fitted_pipeline."
        )
    from marvel_assets.training.dask_cluster import dask_client
    from marvel_assets.training.distributed import fit_on_workers

    number, unfitted = config.distribution.workers, pipeline_from_config(settings, threads)
    parts = tables.scan(train_set, columns, config.sample).parts(number)
    with dask_client(number, config.distribution.scheduler, threads) as client:
        LOG.info(f"Fitting {trees} on {train_set}, {number} workers of {client.scheduler.address}")
        return client.watch(lambda: fit_on_workers(client, parts, unfitted, features, target))


def log_once(
    fitted: FittedPipeline,
    test_set: TableVersion,
    wheel: Path,
    settings: ProjectConfig,
    tables: Tables,
    tracking: MlflowTracking,
) -> tuple[LoggedModelRef, bool]:
    """The model of a fitted pipeline in MLflow, and whether it had to be logged."""
    # The wheel is not part of the key: a new wheel doesn't change the model.
    labels, examples = settings.dataset.target.labels, tuple(each.examples for each in settings.dataset.features)
    cache_key = make_cache_key(fitted.cache_key, test_set.content, *labels, examples, LOG_CODE_VERSION)
    experiment, page = settings.experiment_name_basic, "assets/basic_model"
    with tracking.lock(cache_key):
        if found := tracking.find_model(experiment, cache_key, settings.qualified(BASIC_MODEL)):
            return found, False
        from marvel_assets.tracking.model_logging import BASIC_MODEL_NAME, log_basic_model

        LOG.info(f"Evaluating pipeline {fitted.cache_key[:12]} on {test_set}")
        training = dataset_input(fitted.trained_on, settings, tables, fitted.sample, is_excerpt=bool(fitted.workers))
        testing = dataset_input(test_set, settings, tables)
        tags = {
            **tracking.provenance_tags(page),
            "rows_digest": fitted.rows_digest,
            "training_rows": str(fitted.rows),
            "training_sample": str(fitted.sample),
            "training_workers": str(fitted.workers),
        }
        named = {**fitted.parameters, "train_set": f"v{fitted.trained_on.version}"}
        run_name = ", ".join(f"{name} {value}" for name, value in named.items())
        with tracking.run(experiment, run_name, page) as run:
            model_id = log_basic_model(fitted, training, testing, wheel, settings, tags)
            logged = LoggedModelRef(BASIC_MODEL_NAME, model_id, run.info.run_id, experiment)
            tracking.mark_complete(logged, cache_key)
            return logged, True


def dataset_input(
    table: TableVersion, settings: ProjectConfig, tables: Tables, sample: float = 1.0, *, is_excerpt: bool = False
) -> "DataSet":
    """The rows of a version by their ids, as input of an MLflow run; an excerpt is only for the schema."""
    from marvel_assets.tracking.model_logging import DataSet
    from marvel_assets.training.dataset import dataset_columns, to_frame

    location, columns = tables.location(table.name), dataset_columns(settings.features, settings.target)
    read = tables.preview(table, EXCERPT_ROWS) if is_excerpt else tables.read(table, columns, sample)
    path = str(location) if isinstance(location, Path) else None
    rows = to_frame(read, settings.features, settings.target)
    rows.index = read[IDENTIFIER].to_pandas()
    return DataSet(table, path, rows)
