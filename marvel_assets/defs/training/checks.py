"""The inspection of a logged model: a model that fails it is never registered."""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from marvel_assets.defs.dataset_inputs import find_dataset_input
from marvel_assets.defs.resources import Project
from marvel_assets.storage.engines.base import TablePath
from marvel_assets.storage.references import LoggedModelRef
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.mlflow_resource import INSPECTED_IN, INSPECTION, PASSED, MlflowTracking
from marvel_assets.utils.code_versions import code_version

LOADS = "loads_by_model_id_and_by_run"
SAME_ROWS = "training_rows_are_read_again"

INSPECTION_CODE_VERSION = code_version("marvel_assets.tracking.artifacts", "marvel_assets.training.dataset")
INSPECTED_BY = "inspected_by"
"""Tag of a logged model: the code version of the inspection that it passed."""


@dg.multi_asset_check(
    name="basic_model_inspection",
    specs=[
        dg.AssetCheckSpec(
            LOADS,
            asset="basic_model",
            blocking=True,
            description="Loading it as models:/MODEL_ID and as runs:/RUN_ID/NAME gives the same predictions.",
        ),
        dg.AssetCheckSpec(
            SAME_ROWS,
            asset="basic_model",
            blocking=True,
            description="Reading its training input again, at the recorded version, yields the rows that were fitted.",
        ),
    ],
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
        yield from (_result(name, passed=True, inspected_in=tags[INSPECTED_IN]) for name in (LOADS, SAME_ROWS))
        return
    verdicts = [
        _loads(basic_model),
        _has_same_rows(basic_model, project, tables, tracking),
    ]
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
    return _result(LOADS, passed=by_id == by_run, by_model_id=str(by_id), by_run=str(by_run))


def _has_same_rows(
    model: LoggedModelRef, project: Project, tables: Tables, tracking: MlflowTracking
) -> dg.AssetCheckResult:
    fitted = tracking.tags_of(model)
    features = tracking.client().get_run(model.run_id).data.params["features"].split(",")
    try:
        location, version = find_dataset_input(model.run_id, "training", project, tables, tracking)
        digest, rows = _read_again(location, version, fitted, features, project.config.target, tables)
    except LookupError as error:
        return _result(SAME_ROWS, passed=False, problem=str(error))
    return _result(
        SAME_ROWS,
        passed=digest == fitted["rows_digest"] and rows == int(fitted["training_rows"]),
        rows=str(rows),
        fitted_rows=fitted["training_rows"],
        source=f"{location}@v{version}",
    )


def _read_again(
    location: TablePath,
    version: int,
    fitted: Mapping[str, str],
    features: Sequence[str],
    target: str,
    tables: Tables,
) -> tuple[str, int]:
    """The digest and number of the fitted rows, read again; batch by batch if several processes fitted them."""
    import pyarrow as pa

    from marvel_assets.training.dataset import dataset_columns, rows_digest, sum_of_rows, to_frame

    columns, sample = dataset_columns(features, target), float(fitted["training_sample"])
    if int(fitted.get("training_workers", "0")):
        scan = tables.scan_at(location, version, columns, sample)
        sums = [sum_of_rows(to_frame(pa.Table.from_batches([batch]), features, target)) for batch in scan.batches()]
    else:
        sums = [sum_of_rows(to_frame(tables.read_at(location, version, columns, sample), features, target))]
    return rows_digest(sums), sum(part.rows for part in sums)


def _result(name: str, *, passed: bool, **metadata: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(asset_key="basic_model", check_name=name, passed=passed, metadata=metadata)
