"""Evaluates a logged model by the gate, and caches the result in MLflow."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import dagster as dg

from marvel_assets.datasets.base import Dataset
from marvel_assets.defs.resources import Project
from marvel_assets.evaluation.gate import CHAMPION, GateResult, evaluate_gate
from marvel_assets.registry.base import ModelVersion
from marvel_assets.registry.model_pairs import ROLLBACK_REASON, ModelPair
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.references import LoggedModelRef, TableVersion
from marvel_assets.storage.table_scan import TableNotFoundError
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.artifacts import ModelFilesChangedError, dataset_source
from marvel_assets.tracking.mlflow_resource import MlflowTracking
from marvel_assets.utils.code_versions import code_version, make_cache_key

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

GATE_CODE_VERSION = code_version("marvel_assets.evaluation.gate")
CACHE_KEY, RESULT = "gate_cache_key", "gate_result"
"""Tags of a logged model: a hash of everything that decides the gate's result, and the result."""

BEST_SERVED = "best_served_model"
"""Tag of a basic version: the best model served so far, including itself, on the version's own test rows."""


class ModelMissingError(RuntimeError):
    """A model is gone, its files are changed or not trusted, or the data set lacks a column that it needs."""


class ChallengerEvaluation(NamedTuple):
    """The gate's result for a logged model, and what it was compared with."""

    result: GateResult
    version: ModelVersion | None  # of the logged model, if it is registered
    champion: ModelPair | None
    best_model_id: str  # of the best model served so far, once this one is


def evaluate_challenger(
    model: LoggedModelRef, project: Project, tables: Tables, tracking: MlflowTracking, unity_catalog: UnityCatalog
) -> ChallengerEvaluation:
    """Compare a logged model with the champion and the best model served so far, or find the cached result."""
    registry, pairs, tags = unity_catalog.registry(), unity_catalog.pairs(project.config), tracking.tags_of(model)
    version = next(iter(registry.search_versions(pairs.basic_name, model_id=model.model_id)), None)
    champion = pairs.current()
    if version and (reason := version.tags.get(ROLLBACK_REASON)):
        failure = f"version {version.version} was rolled back: {reason}"
        result = GateResult((failure,), advice="Put it back with the job approve, or fit another model.")
        return ChallengerEvaluation(result, version, champion, model.model_id)
    if champion and champion.basic.model_id == model.model_id:
        before = GateResult.from_json(tags[RESULT]) if RESULT in tags else GateResult()
        note = f"it is the champion, basic version {champion.basic.version}"
        result = replace(before, failures=(), warnings=before.failures + before.warnings, note=note, advice="")
        return ChallengerEvaluation(result, champion.basic, champion, model.model_id)
    baselines = {CHAMPION: champion.basic} if champion else {}
    if champion and (best_id := champion.basic.tags.get(BEST_SERVED)) not in {None, champion.basic.model_id}:
        for best in registry.search_versions(pairs.basic_name, model_id=best_id):
            if not best.tags.get(ROLLBACK_REASON):
                baselines[f"best model served (version {best.version})"] = best
    compared = [baseline.model_id for baseline in baselines.values()]
    settings, columns = project.config.gate.model_dump_json(), project.config.dataset.slice_columns
    cache_key = make_cache_key([model.model_id, *compared], settings, columns, GATE_CODE_VERSION)
    if tags.get(CACHE_KEY) == cache_key:
        result = GateResult.from_json(tags[RESULT])
    else:
        from marvel_assets.tracking.model_logging import log_slices

        dg.get_dagster_logger().info(f"Comparing {model.model_id} against {champion or 'no champion'}")
        result = _evaluate(model, baselines, project, tables, tracking, unity_catalog)
        log_slices(tracking.client(), model.run_id, result.slices)
        if len(result.comparisons) == len(baselines):  # else a baseline could not be loaded, and may be back next time
            tracking.tag_model(model, {RESULT: result.to_json(), CACHE_KEY: cache_key})
    # A model that is registered despite a refusal is the best one from now on: a person accepted the loss.
    is_best = not (result.passed and result.comparisons and result.comparisons[-1].difference < 0)
    best_model_id = model.model_id if is_best else compared[len(result.comparisons) - 1]
    return ChallengerEvaluation(result, version, champion, best_model_id)


def _evaluate(
    model: LoggedModelRef,
    baselines: Mapping[str, ModelVersion],
    project: Project,
    tables: Tables,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
) -> GateResult:
    """The gate's result on the test rows, without the baselines that can't be loaded, which it names."""
    from marvel_assets.model.pipeline import predict_unique_rows

    dataset, candidate, failures, warnings = project.config.dataset, "candidate", [], []
    pipelines = {candidate: load_pipeline(tracking.files_of(model.model_id), dataset)}
    for name, version in baselines.items():
        try:
            pipelines[name] = load_pipeline(unity_catalog.files_of(version), dataset)
        except ModelMissingError as error:
            problem = f"no comparison with the {name}: basic version {version.version} can't be scored: {error}"
            if name == CHAMPION:
                failures.append(f"{problem} (roll back to another version, or set gate.mode to report for one run)")
            else:
                warnings.append(problem)
    needed = set(dataset.slice_columns).union(*(pipeline.feature_names_in_ for pipeline in pipelines.values()))
    rows = read_test_rows(model.run_id, needed, project, tables, tracking)
    scores = {
        name: predict_unique_rows(pipeline, rows[list(pipeline.feature_names_in_)])[:, 1]
        for name, pipeline in pipelines.items()
    }
    slices, y_true = rows[list(dataset.slice_columns)], rows[project.config.target].to_numpy()
    note = "" if baselines else "no champion to compare with"
    result = evaluate_gate(slices, y_true, scores.pop(candidate), scores, project.config.gate, note=note)
    result = replace(result, failures=(*result.failures, *failures), warnings=(*result.warnings, *warnings))
    if result.passed:
        return result
    thresholds = f"What to do: the thresholds are under gate in {project.config_path}"
    return replace(result, advice=f"{thresholds}; with mode: report the model is registered anyway.")


def read_test_rows(
    run_id: str, columns: set[str], project: Project, tables: Tables, tracking: MlflowTracking, max_rows: float = inf
) -> "pd.DataFrame":
    """The rows that a model was tested on, with some columns and the target; about ``max_rows``, if there are more."""
    from marvel_assets.training.dataset import dataset_columns, to_frame

    source, target = find_dataset_input(run_id, "testing", project, tables, tracking), project.config.target
    ordered = [name for name in project.config.dataset.by_name if name in columns]
    share = min(1.0, max_rows / max(source.rows, 1))
    return to_frame(tables.read(source, dataset_columns(ordered, target), share), ordered, target)


def find_dataset_input(
    run_id: str, context: Literal["training", "testing"], project: Project, tables: Tables, tracking: MlflowTracking
) -> TableVersion:
    """The rows that a model was fitted or tested on: the newest table version with them, in the run's home or this one.

    A LookupError says that the run has no such input, or that its rows are in neither home.
    """
    source = dataset_source(tracking.client().get_run(run_id), context)
    name = source.table.rpartition(".")[2]
    try:
        return tables.find([source.path or source.table, project.config.qualified(name)], source.content).table
    except TableNotFoundError as error:
        raise TableNotFoundError(
            f"{source}, the {context} data of MLflow run {run_id}: {error} Materialise {name} from the same source "
            "again, or fit a model on the rows of this home."
        ) from error


def load_pipeline(files: AbstractContextManager[Path], dataset: Dataset) -> "Pipeline":
    """A basic model's pipeline, from the files of the logged model or of a version; else a ``ModelMissingError``."""
    from mlflow.exceptions import MlflowException

    from marvel_assets.model.safe_loading import UntrustedModelError, load_trusted

    try:
        with files as folder:
            pipeline = load_trusted(folder)
    except (ModelFilesChangedError, UntrustedModelError, MlflowException) as error:
        if isinstance(error, MlflowException) and error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise  # the server may be down, and the model still there
        raise ModelMissingError(str(error)) from error
    if gone := sorted(set(pipeline.feature_names_in_).difference(dataset.by_name)):
        raise ModelMissingError(f"it needs column {', '.join(gone)}, which {dataset.name} lacks")
    return pipeline
