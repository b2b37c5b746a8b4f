"""From the training rows to a logged model."""

import dagster as dg

from marvel_assets.defs.inference.wheel import WheelBuilder
from marvel_assets.defs.metadata import FRESHNESS_POLICY, OWNERS, markdown_table, picture
from marvel_assets.defs.resources import Project
from marvel_assets.defs.retraining_lock import POOL, RetrainingLock
from marvel_assets.defs.training.fitting import FIT_CODE_VERSION, LOG_CODE_VERSION, FitConfig, fit_once, log_once
from marvel_assets.evaluation.metrics import labelled
from marvel_assets.storage.pipeline_cache import FittedPipeline, PipelineCache
from marvel_assets.storage.references import LoggedModelRef, TableVersion, WheelRef
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.mlflow_resource import MlflowTracking

GROUP = "training"


@dg.asset(
    group_name=GROUP,
    kinds={"scikitlearn", "lightgbm"},
    owners=OWNERS,
    freshness_policy=FRESHNESS_POLICY,
    code_version=FIT_CODE_VERSION,
    io_manager_key="pipelines",
    pool=POOL,
)
def fitted_pipeline(
    context: dg.AssetExecutionContext,
    config: FitConfig,
    train_set: TableVersion,
    project: Project,
    tables: Tables,
    pipeline_cache: PipelineCache,
    retraining_lock: RetrainingLock,
) -> dg.MaterializeResult[FittedPipeline]:
    """CatToIntTransformer and a classifier (LightGBM by default), fitted on one version of the training rows."""
    retraining_lock.acquire(context)
    settings = project.config.with_parameters(config.parameters)
    fitted, is_new = fit_once(context, config, train_set, settings, tables, pipeline_cache)
    return dg.MaterializeResult(
        value=fitted,
        data_version=dg.DataVersion(fitted.cache_key),
        metadata={
            "cache_key": fitted.cache_key,
            "trained_on": str(fitted.trained_on),
            "training_rows": fitted.rows,
            "training_sample": fitted.sample,
            "training_seconds": round(fitted.seconds, 1),
            "workers": fitted.workers,
            "parameters": dg.MetadataValue.json(fitted.parameters),
            "features": ", ".join(settings.features),
            "dagster/uri": dg.MetadataValue.path(fitted.file),
            "unchanged": not is_new,
        },
    )


@dg.asset(
    group_name=GROUP,
    kinds={"mlflow", "lightgbm"},
    owners=OWNERS,
    freshness_policy=FRESHNESS_POLICY,
    code_version=LOG_CODE_VERSION,
    io_manager_key="references",
    pool=POOL,
)
def basic_model(
    context: dg.AssetExecutionContext,
    fitted_pipeline: FittedPipeline,
    test_set: TableVersion,
    inference_wheel: WheelRef,
    project: Project,
    tables: Tables,
    tracking: MlflowTracking,
    wheel_builder: WheelBuilder,
    retraining_lock: RetrainingLock,
) -> dg.MaterializeResult[LoggedModelRef]:
    """The pipeline logged in MLflow: signature, example, both data sets at their versions, metrics and plots."""
    from marvel_assets.evaluation.model_card import plot_links, with_full_links

    retraining_lock.acquire(context)
    wheel = wheel_builder.file_of(inference_wheel)
    logged, is_new = log_once(context, fitted_pipeline, test_set, wheel, project.config, tables, tracking)
    metrics, plots = tracking.metrics_of(logged.model_id), tracking.plots_of(logged)
    return dg.MaterializeResult(
        value=logged,
        data_version=dg.DataVersion(logged.data_version),
        metadata={
            "metrics": markdown_table(
                ["metric", "on the test rows"], [(name, f"{value:.3f}") for name, value in labelled(metrics).items()]
            ),
            "plots": dg.MetadataValue.md(with_full_links(plot_links(plots, logged.run_id), tracking.pages_url)),
            **{name: dg.MetadataValue.float(value) for name, value in metrics.items()},
            **{name: picture(png, name) for name, png in plots.items()},
            "model_id": logged.model_id,
            "mlflow_run": dg.MetadataValue.url(tracking.run_url(logged)),
            "mlflow_model": dg.MetadataValue.url(tracking.model_url(logged)),
            "trained_on": str(fitted_pipeline.trained_on),
            "tested_on": str(test_set),
            "unchanged": not is_new,
        },
    )
