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
from marvel_assets.tracking.run_tags import RunTags
from marvel_assets.utils.code_versions import code_version, make_cache_key

if TYPE_CHECKING:
    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    from marvel_assets.tracking.model_logging import DataSet

Context = dg.AssetExecutionContext | dg.OpExecutionContext
FIT_CODE_VERSION = code_version("marvel_assets.training.fit", "marvel_assets.training.dataset")
DISTRIBUTED_FIT_CODE_VERSION = code_version(
    "marvel_assets.training.fit", "marvel_assets.training.distributed", "marvel_assets.storage.table_scan"
)
LOG_CODE_VERSION = code_version("marvel_assets.tracking.model_logging", "marvel_assets.training.dataset")


class Distribution(dg.Config):
    """A distributed fit: several processes, none of which holds all rows."""

    workers: int = Field(ge=1, description="Number of processes that share the training rows.")
    scheduler: str | None = Field(
        default=None, description="Address of a Dask scheduler, tcp://host:port. Default: processes on this machine."
    )


PARAMETERS = "Arguments of the classifier that replace those in project.yml, by name, such as n_estimators: 300."


class FitConfig(dg.Config):
    """Parameters, rows and processes of the fit."""

    parameters: dict[str, Any] = Field(default={}, description=PARAMETERS)
    threads: int | None = Field(default=None, ge=1, description="Threads that the fit uses. Default: one per core.")
    sample: float = Field(default=1.0, gt=0, le=1, description="Share of the training rows, by a hash of their ids.")
    distribution: Distribution | None = Field(
        default=None,
        description="Fit with several processes; the result agrees with that of one process within sampling error.",
    )


def fit_once(
    context: Context,
    config: FitConfig,
    train_set: TableVersion,
    settings: ProjectConfig,
    tables: Tables,
    pipeline_cache: PipelineCache,
) -> tuple[FittedPipeline, bool]:
    """The pipeline of these settings, and whether it had to be fitted."""
    from marvel_assets.model.pipeline import default_threads

    parameters, workers = settings.fit_settings, config.distribution.workers if config.distribution else 0
    rules = settings.features, settings.fit_rules, sorted(parameters.items())
    code = FIT_CODE_VERSION, version(settings.model.library), version("scikit-learn")
    # The number of workers matters, not where they are.
    distributed = (workers, DISTRIBUTED_FIT_CODE_VERSION) if workers else ()
    cache_key = make_cache_key(train_set.content, *rules, *code, f"sample {config.sample}", *distributed)
    # In a Dask worker, one thread unless more are configured.
    threads = config.threads or (1 if workers else default_threads())
    with pipeline_cache.lock(cache_key):
        fitted = pipeline_cache.find(cache_key)
        is_new = fitted is None
        if fitted is None:
            started = time.monotonic()
            fit = _fit_on_workers if workers else _fit
            pipeline, rows, digest = fit(context, config, threads, train_set, settings, tables)
            codes = pipeline.named_steps["encode"].infrequent_codes_
            if rare := [name for name, code in codes.items() if code == 0]:  # no value has its own code
                context.log.warning(
                    f"{', '.join(rare)}: every value has fewer than {settings.min_frequency} training rows, so that "
                    "all share one code and the model learns nothing from them; lower min_frequency"
                )
            seconds = time.monotonic() - started
            fitted = FittedPipeline(
                cache_key, train_set, digest, rows, config.sample, workers, parameters, seconds, threads
            )
            fitted = pipeline_cache.keep(pipeline, fitted)
    context.log.info(f"Pipeline {cache_key[:12]} on {fitted.trained_on}: {'fitted' if is_new else 'unchanged'}")
    return fitted, is_new


def _fit(
    context: Context, config: FitConfig, threads: int, train_set: TableVersion, settings: ProjectConfig, tables: Tables
) -> tuple["Pipeline", int, str]:
    """Fit in this process; returns the pipeline, and number and digest of its rows."""
    from marvel_assets.training.dataset import dataset_columns, rows_digest, sum_of_rows, to_frame
    from marvel_assets.training.fit import fit_from_config

    read = tables.read(train_set, dataset_columns(settings.features, settings.target), config.sample)
    rows = to_frame(read, settings.features, settings.target)
    if settings.early_stopping:
        rows.index = read[IDENTIFIER].to_pandas()
    del read  # otherwise every row would be in memory twice during the fit
    trees = f"{'up to ' if settings.early_stopping else ''}{settings.model.max_trees:,} trees"
    context.log.info(f"Fitting {trees} on {len(rows):,} rows, {threads} thread(s)")
    pipeline = fit_from_config(settings, rows, threads, context.log.info)
    return pipeline, len(rows), rows_digest([sum_of_rows(rows)])


def _fit_on_workers(
    context: Context, config: FitConfig, threads: int, train_set: TableVersion, settings: ProjectConfig, tables: Tables
) -> tuple["Pipeline", int, str]:
    """Fit in other processes, each of which reads its own part of the rows."""
    from marvel_assets.training.dask_cluster import dask_client
    from marvel_assets.training.dataset import dataset_columns
    from marvel_assets.training.distributed import fit_on_workers
    from marvel_assets.training.fit import pipeline_from_config

    assert config.distribution is not None  # noqa: S101
    number, features, target = config.distribution.workers, settings.features, settings.target
    if not settings.model.distributes or settings.early_stopping is not None or settings.native_categories:
        raise dg.Failure(
            "A distributed fit needs model.kind lightgbm, without early_stopping and native_categories; change that, "
            "or remove `distribution` from the configuration of fitted_pipeline.",
        )
    location, columns = tables.location(train_set.name), dataset_columns(features, target)
    parts = tables.scan_at(location, train_set.version, columns, config.sample).parts(number)
    pipeline = pipeline_from_config(settings, threads)
    with dask_client(number, config.distribution.scheduler, threads) as client:
        trees, rows = settings.model.max_trees, int(train_set.rows * config.sample)
        context.log.info(f"Fitting {trees:,} trees on {rows:,} rows, {number} workers of {client.scheduler.address}")
        return client.watch(lambda: fit_on_workers(client, parts, pipeline, features, target))


def log_once(
    context: Context,
    fitted: FittedPipeline,
    test_set: TableVersion,
    wheel: Path,
    settings: ProjectConfig,
    tables: Tables,
    tracking: MlflowTracking,
) -> tuple[LoggedModelRef, bool]:
    """The model of a fitted pipeline in MLflow, and whether it had to be logged."""
    from marvel_assets.tracking.model_logging import BASIC_MODEL_NAME, log_basic_model
    from marvel_assets.training.dataset import dataset_columns

    # The wheel is not part of the key: a new wheel doesn't change the model.
    cache_key = make_cache_key(
        fitted.cache_key, test_set.content, *settings.dataset.target.labels, settings.dataset.examples, LOG_CODE_VERSION
    )
    experiment, trained_on = settings.experiment_name_basic, fitted.trained_on
    columns = dataset_columns(settings.features, settings.target)
    with tracking.lock(cache_key):
        logged = tracking.find_model(experiment, cache_key, settings.qualified(BASIC_MODEL))
        is_new = logged is None
        if logged is None:
            context.log.info(f"Evaluating pipeline {fitted.cache_key[:12]} on {test_set}")
            if fitted.workers:
                scan = tables.scan_at(tables.location(trained_on.name), trained_on.version, columns, fitted.sample)
                training = data_set(trained_on, scan.excerpt(), settings, tables, is_excerpt=True)
            else:
                training = data_set(trained_on, tables.read(trained_on, columns, fitted.sample), settings, tables)
            testing = data_set(test_set, tables.read(test_set, columns), settings, tables)
            seed = fitted.pipeline[-1].get_params()["random_state"]
            circumstances = {  # parameters, too: MLflow's comparison of runs shows them
                "seed": "default" if seed is None else seed,
                "threads": fitted.threads,
                "sample": fitted.sample,
                "train_set": f"v{trained_on.version}",
                "test_set": f"v{test_set.version}",
            }
            fit_tags = {"rows_digest": fitted.rows_digest, "training_rows": str(fitted.rows)}
            fit_tags |= {"training_sample": str(fitted.sample), "training_workers": str(fitted.workers)}
            tags, page = RunTags.collect(context.run.run_id), "assets/basic_model"
            tried = [f"{name} {value}" for name, value in fitted.parameters.items()]
            name = ", ".join([*tried, f"train_set v{trained_on.version}"])
            with tracking.run(experiment, tags, name, page) as run:
                model_id = log_basic_model(
                    fitted.pipeline,
                    training,
                    testing,
                    wheel,
                    run_id=run.info.run_id,
                    dataset=settings.dataset,
                    features=settings.features,
                    parameters={**fitted.parameters, **circumstances},
                    seconds=fitted.seconds,
                    tags={**tags.as_tags(context.run.run_id), **tracking.description(page), **fit_tags},
                )
                logged = LoggedModelRef(BASIC_MODEL_NAME, model_id, run.info.run_id, experiment)
                tracking.mark_complete(logged, cache_key)
    metrics = tracking.metrics_of(logged.model_id)
    context.log.info(
        f"Model {logged.model_id} {'logged' if is_new else 'unchanged'}: ROC AUC {metrics['roc_auc']:.4f}, "
        f"balanced accuracy {metrics['balanced_accuracy_score']:.4f}, log loss {metrics['log_loss']:.4f}"
    )
    return logged, is_new


def data_set(
    table: TableVersion, read: "pa.Table", settings: ProjectConfig, tables: Tables, *, is_excerpt: bool = False
) -> "DataSet":
    """Rows of a table version with their origin, for MLflow."""
    from marvel_assets.tracking.model_logging import DataSet
    from marvel_assets.training.dataset import to_frame

    location, rows = tables.location(table.name), to_frame(read, settings.features, settings.target)
    path = str(location) if isinstance(location, Path) else None
    return DataSet(table.name, path, table.version, table.content, rows, settings.target, is_excerpt)
