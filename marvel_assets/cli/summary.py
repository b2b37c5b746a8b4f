"""The summary after a run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marvel_assets.datasets.base import IDENTIFIER, Dataset
from marvel_assets.datasets.scoring import scoring_provenance
from marvel_assets.defs.registration.challenger import RESULT
from marvel_assets.defs.resources import configured_home, profile_resources
from marvel_assets.evaluation.gate import GateResult
from marvel_assets.evaluation.metrics import metrics_by_label
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.base import ModelVersion
from marvel_assets.registry.model_pairs import ALIAS
from marvel_assets.storage.references import ModelVersionRef, TableVersion, from_json
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.artifacts import metrics_of
from marvel_assets.tracking.mlflow_resource import MlflowTracking
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets.utils.redaction import escape_control

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

METRICS_PER_LINE, PREDICTIONS_PER_ANSWER = 3, 3
ROWS_TO_CHOOSE_FROM, MAX_NAME = 1_000, 40


def read_references(home: ProjectPaths) -> dict[str, Any]:
    """The latest reference of each materialised asset, by its name."""
    files = sorted(configured_home(home).references.glob("*.json"))
    return {file.stem: from_json(file.read_text(encoding="utf-8")) for file in files}


def print_summary(home: ProjectPaths, *, with_predictions: bool = True) -> None:
    """Print the summary of the home, and what to do next."""
    print("\n".join(summary(home, with_predictions=with_predictions)))
    tracking = profile_resources(home)["tracking"]
    dagster_pages = f"{tracking.dagster_url}/asset-groups (lineage, checks, plots)"
    print(f"  look next    {_as_typed('make ui')}, then {dagster_pages} and {tracking.pages_location} (MLflow)")


def _as_typed(command: str) -> str:
    """A command as it must be typed here: with the data set, and with the folder of ``marvel`` if no PATH has it."""
    if command.startswith("marvel") and shutil.which("marvel") is None:
        command = command.replace("marvel", os.path.relpath(Path(sys.executable).with_name("marvel")), 1)
    dataset = os.environ.get("MARVEL_DATASET")
    return f"`MARVEL_DATASET={dataset} {command}`" if dataset else f"`{command}`"


def summary(home: ProjectPaths, *, with_predictions: bool) -> Iterator[str]:
    """The lines of the summary: rows, Delta versions, metrics, models, and predictions for a few test rows."""
    references, resources = read_references(home), profile_resources(home)
    config, unity_catalog = resources["project"].config, resources["unity_catalog"]
    tracking, make_run = resources["tracking"], _as_typed("make run")
    dataset = config.dataset
    if not references:
        yield f"  nothing      of {dataset.name} has been materialised in {home.root} yet; run {make_run}"
        return
    yield from _rows(references)
    model, registered = references.get("basic_model"), references.get("basic_model_version")
    has_store = tracking.tracking_uri != home.mlflow_uri or home.mlflow_database.exists()  # MLflow would create it
    logged = _find_model(home, tracking, model.model_id) if has_store and model else None
    if logged:
        yield from _model(logged, registered)
    elif model or not has_store:
        yield f"  model        that of the last run is not in {tracking.tracking_uri}; {make_run} trains one,"
        yield "               or set MLFLOW_TRACKING_URI to the server that has it"
        return
    registry = unity_catalog.registry(read_only=True)
    if registered and registry.get_version(registered.name, registered.version) is None:
        version = f"{registered.name} version {registered.version}"
        yield f"  registered   {version} is not in {unity_catalog.registry_uri}; {make_run} registers"
        yield "               it again, or set MARVEL_UC_URL to the server that it was registered on"
        return
    served = unity_catalog.pairs(config, read_only=True).current()
    if served:
        for kind, version in (("basic", served.basic), ("custom", served.custom)):
            yield f"  {kind:<12} models:/{version.name}/{version.version}, alias {ALIAS}"
    if registered and (served is None or registered.model_id != served.basic.model_id):
        approve = _as_typed(f"marvel approve --set basic_version={registered.version}")
        yield f"  waiting      {registered.name} version {registered.version}; approve it with {approve}"
    test_set, predictions = references.get("test_set"), references.get("survival_predictions")
    if with_predictions and served and test_set and predictions:
        yield from _predictions(resources["tables"], predictions.name, served.custom, test_set, dataset)
    if served:
        hints = "make serve", "marvel explain NAME-OR-ID", "marvel score FILE -o OUT"
        yield f"  ask next     {', '.join(map(_as_typed, hints))}"


def _rows(references: Mapping[str, Any]) -> Iterator[str]:
    names = "raw_characters", "train_set", "test_set", "rejected_characters"
    raw, train, test, rejected = map(references.get, names)
    if raw:
        yield f"  read         {raw.rows:>7,}  {raw}"
    if train and test:
        yield f"  accepted     {train.rows + test.rows:>7,}  {train} ({train.rows:,}), {test} ({test.rows:,})"
    if rejected:
        yield f"  rejected     {rejected.rows:>7,}  {rejected}"


def _find_model(home: ProjectPaths, tracking: MlflowTracking, model_id: str) -> LoggedModel | None:
    from mlflow.exceptions import MlflowException

    client = connect(tracking.tracking_uri, home.locks, tracking.registry_uri, read_only=True)
    try:
        return client.get_logged_model(model_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def _model(logged: LoggedModel, registered: ModelVersionRef | None) -> Iterator[str]:
    yield f"  model        {logged.model_id}, logged by run {logged.source_run_id}"
    named = [f"{label} {value:.4f}" for label, value in metrics_by_label(metrics_of(logged)).items()]
    for start in range(0, len(named), METRICS_PER_LINE):
        yield f"  {'' if start else 'metrics':<12} {', '.join(named[start : start + METRICS_PER_LINE])}"
    if RESULT not in logged.tags:
        return
    result = GateResult.from_json(logged.tags[RESULT])
    if registered is not None and registered.model_id == logged.model_id:
        if result.warnings:
            yield f"  warning      {'; '.join(result.warnings)}"
    elif result.passed:
        yield f"  not served   it passed the gate; {_as_typed('make run')} registers it, or says why it does not"
    else:
        yield f"  refused      {result.reason}"


def _predictions(
    tables: Tables, name: str, custom: ModelVersion, test_set: TableVersion, dataset: Dataset
) -> Iterator[str]:
    """A table of a few test characters, with some of each answer in the table of predictions."""
    latest = tables.latest(name)
    current = scoring_provenance(dataset, custom.name, custom.version)
    if latest is None or not current.items() <= latest.provenance.items():
        update = _as_typed("marvel run --select survival_predictions")
        yield f"  predictions  are from another version; {update} updates them"
        return
    target, sample = dataset.target, min(1.0, ROWS_TO_CHOOSE_FROM / max(test_set.rows, 1))
    answers = tables.read(latest.table, [IDENTIFIER, "display_name", "prediction", "probability"], sample).to_pandas()
    rows = answers.merge(tables.read(test_set, [IDENTIFIER, target.name], sample).to_pandas(), on=IDENTIFIER)
    shown = rows.groupby("prediction").head(PREDICTIONS_PER_ANSWER)
    if shown.empty:  # the predictions are of other rows, such as those of a source whose model the gate refused
        return
    names = [escape_control(name)[:MAX_NAME] for name in shown["display_name"].fillna(shown[IDENTIFIER])]
    chances, actual = shown["probability"].map("{:.3f}".format), shown[target.name].map(target.labels.__getitem__)
    columns = names, shown["prediction"], chances, actual, map(escape_control, shown[IDENTIFIER])
    table = [["name", "predicted", f"P({target.labels[1]})", "actual", "id"], *zip(*columns, strict=True)]
    header, *lines = aligned(table)
    yield f"  it answers   {header}"
    yield from (f"{'':<15}{line}" for line in lines)


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """A table's rows as lines, with two spaces between the columns."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in table)
    return [line.rstrip() for line in lines]
