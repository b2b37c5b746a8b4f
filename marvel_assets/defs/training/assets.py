"""From the training rows to a logged model, which is inspected before it may be registered."""

from collections.abc import Iterator, Mapping

import dagster as dg

from marvel_assets.defs.inference.wheel import WheelBuilder
from marvel_assets.defs.metadata import markdown_image, markdown_table
from marvel_assets.defs.registration.challenger import find_dataset_input
from marvel_assets.defs.resources import Project
from marvel_assets.defs.retraining_lock import POOL, RetrainingLock
from marvel_assets.defs.training.fitting import FIT_CODE_VERSION, LOG_CODE_VERSION, FitConfig, fit_once, log_once
from marvel_assets.evaluation.metrics import metrics_by_label
from marvel_assets.storage.pipeline_cache import FittedPipeline, PipelineCache
from marvel_assets.storage.references import LoggedModelRef, TableVersion, WheelRef
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.mlflow_resource import INSPECTED_IN, INSPECTION, PASSED, MlflowTracking

GROUP = "training"
LOADS, SAME_ROWS = "loads_by_model_id_and_by_run", "training_rows_are_read_again"
INSPECTION_CHECKS = {
    LOADS: "Loading it as models:/MODEL_ID and as runs:/RUN_ID/NAME gives the same predictions.",
    SAME_ROWS: "Reading its training input again, by its recorded content, yields the rows that were fitted.",
}


@dg.asset(
    group_name=GROUP,
    kinds={"scikitlearn", "lightgbm"},
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
    fitted, is_new = fit_once(config, train_set, settings, tables, pipeline_cache)
    return dg.MaterializeResult(
        value=fitted,
        data_version=dg.DataVersion(fitted.cache_key),
        metadata={
            "trained_on": str(fitted.trained_on),
            "training_rows": fitted.rows,
            "training_seconds": round(fitted.seconds, 1),
            "parameters": dg.MetadataValue.json(fitted.parameters),
            "features": ", ".join(settings.features),
            "dagster/uri": dg.MetadataValue.path(fitted.file),
            "unchanged": not is_new,
        },
    )


@dg.asset(
    group_name=GROUP,
    kinds={"mlflow", "lightgbm"},
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
    from marvel_assets.tracking.artifacts import metrics_of
    from marvel_assets.tracking.model_card import plot_links, with_full_links

    retraining_lock.acquire(context)
    wheel = wheel_builder.file_of(inference_wheel)
    logged, is_new = log_once(fitted_pipeline, test_set, wheel, project.config, tables, tracking)
    metrics, plots = metrics_of(tracking.client().get_logged_model(logged.model_id)), tracking.plots_of(logged)
    state = "logged" if is_new else "unchanged"
    context.log.info(f"Model {logged.model_id} {state}: ROC AUC {metrics['roc_auc']:.4f}")
    shown = [(name, f"{value:.3f}") for name, value in metrics_by_label(metrics).items()]
    return dg.MaterializeResult(
        value=logged,
        data_version=dg.DataVersion(logged.model_id),
        metadata={
            "metrics": markdown_table(["metric", "on the test rows"], shown),
            "plots": dg.MetadataValue.md(with_full_links(plot_links(plots, logged.run_id), tracking.pages_url)),
            **{name: dg.MetadataValue.float(value) for name, value in metrics.items()},
            **{name: markdown_image(png, name) for name, png in plots.items()},
            "model_id": logged.model_id,
            "mlflow_run": dg.MetadataValue.url(tracking.run_url(logged)),
            "mlflow_model": dg.MetadataValue.url(tracking.model_url(logged)),
            "trained_on": str(fitted_pipeline.trained_on),
            "tested_on": str(test_set),
            "unchanged": not is_new,
        },
    )


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(name, asset=basic_model, description=description, blocking=True)
        for name, description in INSPECTION_CHECKS.items()
    ]
)
def basic_model_inspection(
    context: dg.AssetCheckExecutionContext,
    basic_model: LoggedModelRef,
    project: Project,
    tables: Tables,
    tracking: MlflowTracking,
) -> Iterator[dg.AssetCheckResult]:
    """Inspect the model, and tag it with the result, which registration reads in whatever run it happens.

    A model that passed is not inspected again by a run of the graph, but by one of the checks alone.
    """
    from marvel_assets.tracking.artifacts import example_predictions

    tags, model = tracking.tags_of(basic_model), basic_model
    if context.job_def.asset_layer.selected_asset_keys and tags.get(INSPECTION) == PASSED:
        metadata = {INSPECTED_IN: tags[INSPECTED_IN]}
        yield from (dg.AssetCheckResult(check_name=name, passed=True, metadata=metadata) for name in INSPECTION_CHECKS)
        return
    by_id, by_run = example_predictions(model.uri), example_predictions(f"runs:/{model.run_id}/{model.name}")
    predicted = {"by_model_id": str(by_id), "by_run": str(by_run)}
    results = [
        dg.AssetCheckResult(check_name=LOADS, passed=by_id == by_run, metadata=predicted),
        _check_same_rows(model, tags, project, tables, tracking),
    ]
    failed = ", ".join(str(result.check_name) for result in results if not result.passed)
    found = {INSPECTION: f"failed {failed}" if failed else PASSED, INSPECTED_IN: context.run.run_id}
    tracking.tag_model(model, found)
    yield from results


def _check_same_rows(
    model: LoggedModelRef, tags: Mapping[str, str], project: Project, tables: Tables, tracking: MlflowTracking
) -> dg.AssetCheckResult:
    """Read the fitted rows again; batch by batch if several processes fitted them."""
    from marvel_assets.training.dataset import dataset_columns, rows_digest, sum_of_rows, to_frame

    features = tracking.client().get_run(model.run_id).data.params["features"].split(",")
    target, sample = project.config.target, float(tags["training_sample"])
    columns = dataset_columns(features, target)
    try:
        table = find_dataset_input(model.run_id, "training", project, tables, tracking)
        if int(tags["training_workers"]):
            parts = tables.scan(table, columns, sample).batches()
        else:
            parts = iter([tables.read(table, columns, sample)])
        sums = [sum_of_rows(to_frame(part, features, target)) for part in parts]
    except LookupError as error:
        return dg.AssetCheckResult(check_name=SAME_ROWS, passed=False, metadata={"problem": str(error)})
    rows, fitted_rows = sum(part.rows for part in sums), int(tags["training_rows"])
    metadata: dict[str, int | str] = {"rows": rows, "fitted_rows": fitted_rows, "source": str(table)}
    return dg.AssetCheckResult(check_name=SAME_ROWS, passed=rows_digest(sums) == tags["rows_digest"], metadata=metadata)
