"""From the training rows to a logged model, which is inspected before it may be registered."""

from collections.abc import Iterator

import dagster as dg

from marvel_assets.defs.dataset_inputs import find_dataset_input
from marvel_assets.defs.inference.wheel import WheelBuilder
from marvel_assets.defs.metadata import markdown_image, markdown_table
from marvel_assets.defs.resources import Project
from marvel_assets.defs.retraining_lock import POOL, RetrainingLock
from marvel_assets.defs.training.fitting import FIT_CODE_VERSION, LOG_CODE_VERSION, FitConfig, fit_once, log_once
from marvel_assets.evaluation.metrics import metrics_by_label
from marvel_assets.storage.pipeline_cache import FittedPipeline, PipelineCache
from marvel_assets.storage.references import LoggedModelRef, TableVersion, WheelRef
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.mlflow_resource import INSPECTED_IN, INSPECTION, PASSED, MlflowTracking
from marvel_assets.utils.code_versions import code_version

GROUP = "training"
LOADS, SAME_ROWS = "loads_by_model_id_and_by_run", "training_rows_are_read_again"
INSPECTION_CODE_VERSION = code_version("marvel_assets.tracking.artifacts", "marvel_assets.training.dataset")
INSPECTED_BY = "inspected_by"
"""Tag of a logged model: the code version of the inspection that it passed."""


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


def _check(name: str, description: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(name, asset=basic_model, description=description, blocking=True)


@dg.multi_asset_check(
    specs=[
        _check(LOADS, "Loading it as models:/MODEL_ID and as runs:/RUN_ID/NAME gives the same predictions."),
        _check(
            SAME_ROWS, "Reading its training input again, at the recorded version, yields the rows that were fitted."
        ),
    ]
)
def basic_model_inspection(
    context: dg.AssetCheckExecutionContext,
    basic_model: LoggedModelRef,
    project: Project,
    tables: Tables,
    tracking: MlflowTracking,
) -> Iterator[dg.AssetCheckResult]:
    """Inspect the model, and tag it with the verdict, which registration reads in whatever run it happens.

    A logged model does not change: if it passed before, a run of the graph reuses that verdict. A run of the checks
    alone inspects it again.
    """
    tags = tracking.tags_of(basic_model)
    is_part_of_a_run = bool(context.job_def.asset_layer.selected_asset_keys)
    if is_part_of_a_run and (tags.get(INSPECTION), tags.get(INSPECTED_BY)) == (PASSED, INSPECTION_CODE_VERSION):
        yield from (_verdict(name, passed=True, inspected_in=tags[INSPECTED_IN]) for name in (LOADS, SAME_ROWS))
        return
    verdicts = [_loads(basic_model), _has_same_rows(basic_model, project, tables, tracking)]
    failed = [str(verdict.check_name) for verdict in verdicts if not verdict.passed]
    noted = {
        INSPECTION: f"failed {', '.join(failed)}" if failed else PASSED,
        INSPECTED_BY: INSPECTION_CODE_VERSION,
        INSPECTED_IN: context.run.run_id,
    }
    tracking.tag_model(basic_model, noted)
    yield from verdicts


def _loads(model: LoggedModelRef) -> dg.AssetCheckResult:
    from marvel_assets.tracking.artifacts import predictions_of

    by_id, by_run = predictions_of(model.uri), predictions_of(f"runs:/{model.run_id}/{model.name}")
    return _verdict(LOADS, passed=by_id == by_run, by_model_id=str(by_id), by_run=str(by_run))


def _has_same_rows(
    model: LoggedModelRef, project: Project, tables: Tables, tracking: MlflowTracking
) -> dg.AssetCheckResult:
    """Read the fitted rows again; batch by batch if several processes fitted them."""
    import pyarrow as pa

    from marvel_assets.training.dataset import dataset_columns, rows_digest, sum_of_rows, to_frame

    fitted, target = tracking.tags_of(model), project.config.target
    features = tracking.client().get_run(model.run_id).data.params["features"].split(",")
    columns, sample = dataset_columns(features, target), float(fitted["training_sample"])
    try:
        location, version = find_dataset_input(model.run_id, "training", project, tables, tracking)
        if int(fitted["training_workers"]):
            batches = tables.scan_at(location, version, columns, sample).batches()
            parts: Iterator[pa.Table] = (pa.Table.from_batches([batch]) for batch in batches)
        else:
            parts = iter([tables.read_at(location, version, columns, sample)])
        sums = [sum_of_rows(to_frame(part, features, target)) for part in parts]
    except LookupError as error:
        return _verdict(SAME_ROWS, passed=False, problem=str(error))
    rows = sum(part.rows for part in sums)
    is_same = rows_digest(sums) == fitted["rows_digest"] and rows == int(fitted["training_rows"])
    origin = f"{location}@v{version}"
    return _verdict(SAME_ROWS, passed=is_same, rows=str(rows), fitted_rows=fitted["training_rows"], source=origin)


def _verdict(name: str, *, passed: bool, **metadata: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(asset_key="basic_model", check_name=name, passed=passed, metadata=metadata)
