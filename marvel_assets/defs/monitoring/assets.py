"""The drift report: the characters that are scored now, compared with the model's test rows."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from marvel_assets.datasets.base import IDENTIFIER
from marvel_assets.defs.metadata import markdown_image, markdown_table, reported
from marvel_assets.defs.resources import Project
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.references import TableVersion
from marvel_assets.storage.table_scan import TableNotFoundError
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.mlflow_resource import MlflowTracking
from marvel_assets.utils.code_versions import code_version, make_cache_key

NOT_DRIFTED = "has_not_drifted"
DRIFTED, WINDOW, MODEL, CACHE_KEY = "drifted", "window", "model_version", "cache_key"
"""Metadata of a report: the sensor reads the first three, the next report the hash of everything that decides it."""

MAX_ROWS = 200_000  # approximate maximum of compared rows, of a window and of the reference: larger ones are sampled
DRIFT_CODE_VERSION = code_version("marvel_assets.evaluation.drift", "marvel_assets.model.wrapper")


@dg.asset(
    group_name="monitoring",
    kinds={"python"},
    code_version=DRIFT_CODE_VERSION,
    automation_condition=dg.AutomationCondition.eager(),
    check_specs=[
        dg.AssetCheckSpec(NOT_DRIFTED, asset="drift_report", description="What was scored resembles the test rows.")
    ],
)
def drift_report(
    context: dg.AssetExecutionContext,
    survival_predictions: TableVersion,
    project: Project,
    tables: Tables,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # with a check, Dagster takes no other annotation
    """Compares the most recently scored characters with the test rows of the model that scored them."""
    table, thresholds, labels = survival_predictions, project.config.drift, project.config.dataset.target.labels
    # Not the version: OPTIMIZE makes a new one of the same rows.
    cache_key = make_cache_key(table.name, table.content, thresholds.model_dump_json(), DRIFT_CODE_VERSION)
    event = context.instance.get_latest_materialization_event(drift_report.key)
    before = reported(event)
    if event and event.asset_materialization and before.get(CACHE_KEY) == cache_key:
        context.log.info(f"{table}: as reported before")
        return _result(event.asset_materialization.metadata, before["reason"], passed=not before.get(DRIFTED))
    from marvel_assets.defs.registration.challenger import load_pipeline, read_test_rows
    from marvel_assets.evaluation.drift import PREDICTION, drift_plot, shifts
    from marvel_assets.evaluation.plots import to_png
    from marvel_assets.model.pipeline import predict_unique_rows

    scoring = tables.find([table.name], table.content).provenance
    number = int(scoring["model"].rpartition("/")[2])
    basic = unity_catalog.pairs(project.config).for_custom_version(number).basic
    pipeline = load_pipeline(unity_catalog.files_of(basic), project.config.dataset)
    features = list(pipeline.feature_names_in_)
    share, condition = min(1.0, MAX_ROWS / max(scoring["scored"], 1)), f"source_version = {scoring['scored_version']}"
    window = tables.read(table, [IDENTIFIER, *features, PREDICTION], share, condition).to_pandas()
    report: dict[str, Any] = {WINDOW: table.version, MODEL: number, "rows": len(window), "scored": str(table)}
    if len(window) < thresholds.min_window_rows:
        reason = f"{len(window):,} rows are too few to compare; {thresholds.min_window_rows:,} are needed."
        context.log.info(reason)
        return _result({**report, CACHE_KEY: cache_key}, reason)
    try:
        reference = read_test_rows(basic.run_id, set(features), project, tables, tracking, MAX_ROWS)
    except TableNotFoundError as error:  # not cached: the rows may be back in the next run
        context.log.warning(reason := f"nothing to compare with: {error}")
        return _result(report, reason, passed=False)
    answers = predict_unique_rows(pipeline, reference[features], pipeline[-1].predict)
    reference[PREDICTION] = [labels[int(answer)] for answer in answers]
    found = shifts(reference, window, [*features, PREDICTION], thresholds)
    cells = [
        (each.column, f"{each.psi:.3f}", f"{each.p_value:.2g}", "drifted" if each.drifted else "") for each in found
    ]
    drifted = [each.column for each in found if each.drifted]
    reason = f"{', '.join(drifted)} drifted" if drifted else "nothing has drifted"
    context.log.info(f"{table}: {reason}")
    report |= {
        CACHE_KEY: cache_key,
        DRIFTED: bool(drifted),
        "largest_psi": found[0].psi,
        "shifts": markdown_table(["column", "PSI", "p", ""], cells),
        "plot": markdown_image(to_png(drift_plot(found, thresholds.psi)), "population stability"),
    }
    return _result(report, reason, passed=not drifted)


def _result(metadata: Mapping[str, Any], reason: str, *, passed: bool = True) -> dg.MaterializeResult[None]:
    """The report and its check, which warns of drift, and if the reference is missing; small windows pass."""
    severity = dg.AssetCheckSeverity.WARN
    check = dg.AssetCheckResult(check_name=NOT_DRIFTED, passed=passed, severity=severity, description=reason)
    return dg.MaterializeResult(metadata={**metadata, "reason": reason}, check_results=[check])
