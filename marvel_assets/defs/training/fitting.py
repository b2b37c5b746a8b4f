"""Fits and logs a model, each once per cache key."""

import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from marvel_assets.config import ProjectConfig
from marvel_assets.datasets.base import IDENTIFIER
from marvel_assets.storage.pipeline_cache import FittedPipeline, PipelineCache
from marvel_assets.storage.references import LoggedModelRef, TableVersion
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.mlflow_resource import MlflowTracking
from marvel_assets.tracking.run_tags import RunTags
from marvel_assets.utils.code_versions import code_version, make_cache_key

if TYPE_CHECKING:
    import pyarrow as pa
    from sklearn.pipeline import Pipeline

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
        default=None,
        description="Address of a Dask scheduler, tcp://host:port. Default: processes on this machine.",
    )


PARAMETERS = "Arguments of the classifier that replace those in project.yml, by name, such as n_estimators: 300."


class FitConfig(dg.Config):
    """Parameters, rows and processes of the fit."""

    parameters: dict[str, Any] = Field(default={}, description=PARAMETERS)
    threads: int | None = Field(default=None, ge=1, description="Threads that the fit uses. Default: one per core.")
    sample: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the training rows to fit on, by a hash of their ids: for a table larger than memory.",
    )
    distribution: Distribution | None = Field(
        default=None,
        description=(
            "Fit with several processes, for a table larger than one's memory. Default: in this process. The results "
            "agree within sampling error, not bit for bit."
        ),
    )

    def threads_per_process(self) -> int:
        """Threads per process: ``threads``, else one in a Dask worker and one per core in this process."""
        from marvel_assets.model.pipeline import default_threads

        return self.threads or (1 if self.distribution else default_threads())


def fit_once(
    context: Context,
    config: FitConfig,
    train_set: TableVersion,
    settings: ProjectConfig,
    tables: Tables,
    pipeline_cache: PipelineCache,
) -> tuple[FittedPipeline, bool]:
    """The pipeline of these settings, and whether it had to be fitted."""
    parameters = settings.fit_settings
    # The number of workers matters, not where they are.
    distributed = (config.distribution.workers, DISTRIBUTED_FIT_CODE_VERSION) if config.distribution else ()
    cache_key = make_cache_key(
        train_set.content,
        settings.features,
        settings.fit_rules,
        sorted(parameters.items()),
        FIT_CODE_VERSION,
        version(settings.model.library),
        version("scikit-learn"),
        f"sample {config.sample}",
        *distributed,
    )
    with pipeline_cache.lock(cache_key):
        fitted = pipeline_cache.find(cache_key)
        is_new = fitted is None
        if fitted is None:
            fit = _fit if config.distribution is None else _fit_on_workers
            started = time.monotonic()
            pipeline, digest, rows = fit(context, config, train_set, settings, tables)
            codes = pipeline.named_steps["encode"].infrequent_codes_
            if rare := [name for name, code in codes.items() if code == 0]:  # no value has its own code
                context.log.warning(
                    f"{', '.join(rare)}: every value has fewer than {settings.min_frequency} training rows, so that "
                    "all share one code and the model learns nothing from them; lower min_frequency in "
                    "config/project.yml"
                )
            fitted = FittedPipeline(
                cache_key, train_set, digest, rows, config.sample,
                workers=config.distribution.workers if config.distribution else 0,
                parameters=dict(parameters),
                seconds=time.monotonic() - started,
                threads=config.threads_per_process(),
            )  # fmt: skip
            fitted = pipeline_cache.keep(pipeline, fitted)
    context.log.info(f"Pipeline {cache_key[:12]} on {fitted.trained_on}: {'fitted' if is_new else 'unchanged'}")
    return fitted, is_new


def _fit(
    context: Context, config: FitConfig, train_set: TableVersion, settings: ProjectConfig, tables: Tables
) -> tuple["Pipeline", str, int]:
    """Fit in this process; returns the pipeline, the digest of its rows, and their number."""
    from marvel_assets.training.dataset import dataset_columns, rows_digest, sum_of_rows, to_frame
    from marvel_assets.training.fit import fit_from_config

    read = tables.read(train_set, dataset_columns(settings.features, settings.target), config.sample)
    rows = to_frame(read, settings.features, settings.target)
    ids = read[IDENTIFIER].to_pandas() if settings.early_stopping else None
    del read  # otherwise every row would be in memory twice during the fit
    threads, trees = config.threads_per_process(), settings.model.max_trees
    at_most = "up to " if settings.early_stopping else ""
    context.log.info(f"Fitting {at_most}{trees:,} trees on {len(rows):,} rows, {threads} thread(s)")
    pipeline = fit_from_config(settings, rows, ids, threads, context.log.info)
    return pipeline, rows_digest([sum_of_rows(rows)]), len(rows)


def _fit_on_workers(
    context: Context, config: FitConfig, train_set: TableVersion, settings: ProjectConfig, tables: Tables
) -> tuple["Pipeline", str, int]:
    """Like ``_fit``, in other processes, each of which reads its own part of the rows."""
    from marvel_assets.training.dask_cluster import dask_workers
    from marvel_assets.training.dataset import dataset_columns
    from marvel_assets.training.distributed import fit_on_workers
    from marvel_assets.training.fit import pipeline_from_config

    assert config.distribution is not None  # noqa: S101
    number = config.distribution.workers
    if not settings.model.distributes or settings.early_stopping is not None or settings.native_categories:
        raise dg.Failure(
            "A distributed fit needs model.kind lightgbm, without early_stopping and native_categories; change that "
            "in config/project.yml, or remove `distribution` from the configuration of fitted_pipeline.",
            allow_retries=False,
        )
    columns = dataset_columns(settings.features, settings.target)
    scan = tables.scan_at(tables.location(train_set.name), train_set.version, columns, config.sample)
    threads = config.threads_per_process()
    pipeline = pipeline_from_config(settings, threads)
    with dask_workers(number, config.distribution.scheduler, threads) as workers:
        expected = int(train_set.rows * config.sample)
        context.log.info(
            f"Fitting {settings.model.max_trees:,} trees on {expected:,} rows, {number} workers of {workers.where}"
        )
        done = workers.watched(
            lambda: fit_on_workers(
                workers.client, workers.addresses, scan.parts(number), pipeline, settings.features, settings.target
            )
        )
    return done.pipeline, done.rows_digest, done.rows


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
    # The wheel is not part of the key: a new wheel doesn't change the model.
    cache_key = make_cache_key(
        fitted.cache_key, test_set.content, *settings.dataset.target.labels, settings.dataset.examples, LOG_CODE_VERSION
    )
    with tracking.lock(cache_key):
        logged = tracking.find_model(settings.experiment_name_basic, cache_key)
        is_new = logged is None
        if logged is None:
            context.log.info(f"Evaluating pipeline {fitted.cache_key[:12]} on {test_set}")
            logged = _log(context, fitted, test_set, wheel, settings, tables, tracking, cache_key)
    metrics = tracking.metrics_of(logged.model_id)
    context.log.info(
        f"Model {logged.model_id} {'logged' if is_new else 'unchanged'}: ROC AUC {metrics['roc_auc']:.4f}, "
        f"balanced accuracy {metrics['balanced_accuracy_score']:.4f}, log loss {metrics['log_loss']:.4f}"
    )
    return logged, is_new


def _log(
    context: Context,
    fitted: FittedPipeline,
    test_set: TableVersion,
    wheel: Path,
    settings: ProjectConfig,
    tables: Tables,
    tracking: MlflowTracking,
    cache_key: str,
) -> LoggedModelRef:
    from marvel_assets.tracking.model_logging import BASIC_MODEL_NAME, DataSet, log_basic_model
    from marvel_assets.training.dataset import dataset_columns, to_frame

    columns = dataset_columns(settings.features, settings.target)

    def data_set(table: TableVersion, rows: "pa.Table", *, is_excerpt: bool = False) -> DataSet:
        location = tables.location(table.name)
        path = str(location) if isinstance(location, Path) else None
        frame = to_frame(rows, settings.features, settings.target)
        return DataSet(table.name, path, table.version, table.content, frame, settings.target, is_excerpt)

    trained_on = fitted.trained_on
    if fitted.workers:
        scan = tables.scan_at(tables.location(trained_on.name), trained_on.version, columns, fitted.sample)
        training = data_set(trained_on, scan.excerpt(), is_excerpt=True)
    else:
        training = data_set(trained_on, tables.read(trained_on, columns, fitted.sample))
    tags = RunTags.collect(context.run.run_id)
    tried = ", ".join(f"{name} {value}" for name, value in fitted.parameters.items())
    name, page = f"{tried}, train_set v{trained_on.version}", "assets/basic_model"
    with tracking.run(settings.experiment_name_basic, tags, name, page) as run:
        model_id = log_basic_model(
            fitted.pipeline,
            training,
            data_set(test_set, tables.read(test_set, columns)),
            wheel,
            run_id=run.info.run_id,
            dataset=settings.dataset,
            features=settings.features,
            parameters={**fitted.parameters, **_circumstances(fitted, test_set)},
            seconds=fitted.seconds,
            tags={
                **tags.as_tags(context.run.run_id),
                **tracking.description(page),
                "rows_digest": fitted.rows_digest,
                "training_rows": str(fitted.rows),
                "training_sample": str(fitted.sample),
                "training_workers": str(fitted.workers),
            },
        )
        logged = LoggedModelRef(BASIC_MODEL_NAME, model_id, run.info.run_id, settings.experiment_name_basic)
        return tracking.mark_complete(logged, cache_key)


def _circumstances(fitted: FittedPipeline, test_set: TableVersion) -> dict[str, Any]:
    """Logged as parameters too, so that MLflow's comparison of runs shows them."""
    seed = fitted.pipeline[-1].get_params()["random_state"]
    return {
        "seed": "default" if seed is None else seed,
        "threads": fitted.threads,
        "sample": fitted.sample,
        "train_set": f"v{fitted.trained_on.version}",
        "test_set": f"v{test_set.version}",
    }
