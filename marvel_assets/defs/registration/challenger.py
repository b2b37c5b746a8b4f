"""Evaluates the gate for a logged model, and reuses what it found before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from marvel_assets.defs.dataset_inputs import find_dataset_input
from marvel_assets.registry.base import CatalogError, CatalogUnavailableError
from marvel_assets.registry.model_pairs import ROLLED_BACK
from marvel_assets.utils.code_versions import code_version, make_cache_key

if TYPE_CHECKING:
    import dagster as dg
    import pandas as pd

    from marvel_assets.defs.resources import Project
    from marvel_assets.evaluation.gate import GateResult
    from marvel_assets.evaluation.roc_auc import Probabilities
    from marvel_assets.registry.base import ModelRegistry, ModelVersion
    from marvel_assets.registry.model_pairs import ModelPair, ModelPairs
    from marvel_assets.storage.references import LoggedModelRef
    from marvel_assets.storage.tables import Tables
    from marvel_assets.tracking.mlflow_resource import MlflowTracking

GATE_CODE = code_version("marvel_assets.evaluation.gate")
CACHE_KEY, RESULT = "gate_cache_key", "gate_result"
"""Tags of a logged model: what it was compared with and by, and the result. A champion changes; models don't."""

BEST_SERVED = "best_served_model"
"""Tag of a basic version: the best model served so far, itself included, judged on the version's own test rows."""

SMALL_TEST_SET = 2000
"""Test rows of a table for which early stopping is worth a try: with fewer, 1,000 trees learn it by heart."""


def champion_of(pairs: ModelPairs) -> tuple[ModelPair | None, str]:
    """The pair that is served, and what is wrong with it where that can't be found out.

    Raises:
        CatalogUnavailableError: the catalog does not answer, which says nothing of the pair.
    """
    try:
        return pairs.current(), ""
    except CatalogUnavailableError:
        raise
    except CatalogError as error:
        return None, str(error)


def best_served(champion: ModelPair | None, catalog: ModelRegistry) -> ModelVersion | None:
    """The version of the best model served so far, where that isn't the champion and nobody rolled it back."""
    model_id = champion.basic.tags.get(BEST_SERVED) if champion else None
    if champion is None or model_id in {None, champion.basic.model_id}:
        return None
    versions = catalog.search_versions(champion.basic.name, model_id=model_id)
    return next((version for version in versions if not version.tags.get(ROLLED_BACK)), None)


def best_served_with(model_id: str, result: GateResult, champion: ModelPair | None, best: ModelVersion | None) -> str:
    """The best model once this one is served, as the comparisons on the same rows have it.

    A model that was registered in spite of a refusal begins anew: a person has accepted the loss.
    """
    if champion is None or not result.comparisons or not result.passed:
        return model_id
    baseline = best.model_id if best and len(result.comparisons) > 1 else champion.basic.model_id
    return baseline if result.comparisons[-1].difference < 0 else model_id


def evaluate_challenger_cached(
    context: dg.AssetExecutionContext,
    model: LoggedModelRef,
    known: ModelVersion | None,
    champion: ModelPair | None,
    champion_problem: str,
    best: ModelVersion | None,
    project: Project,
    tables: Tables,
    tracking: MlflowTracking,
) -> GateResult:
    """Compare a model with what is served, unless that was done before.

    Args:
        context: of the asset, for its log.
        model: the challenger.
        known: its version, where it was registered before.
        champion: what is served; None where there is nothing, or where it can't be found out.
        champion_problem: why it can't be.
        best: the best model served so far, where that is another one.
        project: thresholds.
        tables: where the test rows are.
        tracking: where the models are.

    Raises:
        BrokenModelError: the challenger's predictions are no probabilities.
    """
    from marvel_assets.evaluation.gate import GateResult

    thresholds = project.config.gate
    tags = tracking.tags_of(model)
    if known is not None and known.tags.get(ROLLED_BACK):
        failure = f"version {known.version} was rolled back: {known.tags[ROLLED_BACK]}"
        return GateResult((failure,), advice="Put it back with the job approve, or fit another model.")
    if champion is not None and champion.basic.model_id == model.model_id:
        before = GateResult.from_json(tags[RESULT]) if RESULT in tags else GateResult()
        note = f"it is the champion, basic version {champion.basic.version}"
        return replace(before, failures=(), warnings=(*before.failures, *before.warnings), note=note, advice="")
    against = champion.basic.model_id if champion else champion_problem
    cache_key = make_cache_key(
        model.model_id, against, best.model_id if best else "", thresholds.model_dump_json(), GATE_CODE
    )
    if tags.get(CACHE_KEY) == cache_key:
        return GateResult.from_json(tags[RESULT])
    context.log.info(f"Judging {model.model_id} against {champion or 'no champion'}")
    result, is_final = _evaluate(model, champion, champion_problem, best, project, tables, tracking)
    if is_final:
        tracking.tag_model(model, {RESULT: result.to_json(), CACHE_KEY: cache_key})
    return result


def _evaluate(
    model: LoggedModelRef,
    champion: ModelPair | None,
    champion_problem: str,
    best: ModelVersion | None,
    project: Project,
    tables: Tables,
    tracking: MlflowTracking,
) -> tuple[GateResult, bool]:
    """The result, and whether another look would give the same: a champion may be mended."""
    from marvel_assets.datasets.marvel_kaggle.columns import TARGET
    from marvel_assets.evaluation.gate import CHAMPION, BrokenModelError, evaluate_gate

    challenger, pipelines, problems = load_pipeline(model.model_id, tracking), {}, {}
    baselines = {CHAMPION: champion.basic} if champion else {}
    if best:
        baselines[f"best model served (version {best.version})"] = best
    for name, version in baselines.items():
        try:
            pipelines[name] = load_pipeline(version.model_id, tracking)
        except ModelMissingError as error:
            problems[name] = f"basic version {version.version} can't be loaded: {error}"
    rows = _test_rows(model, project, tables, tracking, [challenger, *pipelines.values()])
    scores: dict[str, Probabilities] = {}
    for name, pipeline in pipelines.items():
        try:
            scores[name] = probabilities(pipeline, rows, f"the {name}")
        except BrokenModelError as error:
            problems[name] = f"basic version {baselines[name].version} can't be scored: {error}"
    if champion_problem:
        problems[CHAMPION] = champion_problem
    note = "no champion to compare with" if champion is None and not champion_problem else ""
    candidate = probabilities(challenger, rows, "the challenger")
    result = evaluate_gate(rows, rows[TARGET].to_numpy(), candidate, scores, project.config.gate, note=note)
    for name, problem in problems.items():
        text = f"the {name} can't be compared with: {problem}"
        if name == CHAMPION:
            text += " (roll back to a version that can be, or set gate.mode to report for one run)"
            result = replace(result, failures=(*result.failures, text))
        else:
            result = replace(result, warnings=(*result.warnings, text))
    return replace(result, advice="" if result.passed else _advice(len(rows), project)), not problems


def _advice(test_rows: int, project: Project) -> str:
    """What a person can do about a refusal."""
    advice = (
        f"What to do: the thresholds are under gate in {project.config_path}, and mode: report there registers the "
        "model all the same."
    )
    if test_rows < SMALL_TEST_SET and project.config.early_stopping is None:
        advice += f" {test_rows:,} test rows are few: early_stopping, in the same file, often helps so small a table."
    return advice


def _test_rows(
    model: LoggedModelRef, project: Project, tables: Tables, tracking: MlflowTracking, models: list[Any]
) -> pd.DataFrame:
    """The rows that the challenger was tested on, at their version, with the columns that any of the models needs."""
    from marvel_assets.datasets.marvel_kaggle.columns import FEATURES, SLICE_COLUMNS
    from marvel_assets.training.dataset import columns_for_training, to_frame

    source = find_dataset_input(model.run_id, "testing", project, tables, tracking)
    needed = {*SLICE_COLUMNS, *(name for fitted in models for name in fitted.feature_names_in_)}
    columns = [name for name in FEATURES if name in needed]
    return to_frame(tables.read_at(*source, columns_for_training(columns)), columns)


class ModelMissingError(RuntimeError):
    """A logged model is gone, or its files are not what was logged."""


def load_pipeline(model_id: str, tracking: MlflowTracking) -> Any:  # noqa: ANN401 - a scikit-learn pipeline
    """A basic model's pipeline, from the files that were logged.

    Raises:
        ModelMissingError: the model was deleted, or its files are missing, changed or of an unknown kind.
    """
    from mlflow.exceptions import MlflowException

    from marvel_assets.model.safe_loading import UntrustedModelError, load_trusted
    from marvel_assets.tracking.artifacts import ModelFilesChangedError

    try:
        with tracking.files_of(model_id) as folder:
            return load_trusted(folder)
    except (ModelFilesChangedError, UntrustedModelError) as error:
        raise ModelMissingError(str(error)) from error
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise  # a server that does not answer says nothing of the model
        raise ModelMissingError(str(error)) from error


def probabilities(pipeline: Any, rows: pd.DataFrame, whose: str) -> Probabilities:  # noqa: ANN401
    """The probabilities of class 1 that the gate compares, of shape (n,), asked as batches are.

    Raises:
        BrokenModelError: the rows lack a column that the model needs, or its answers are no probabilities.
    """
    from marvel_assets.evaluation.gate import BrokenModelError, check_probabilities
    from marvel_assets.model.batching import predict_in_threads, predict_unique_rows

    features = list(pipeline.feature_names_in_)
    if missing := [name for name in features if name not in rows.columns]:
        raise BrokenModelError(f"{whose} needs column {', '.join(missing)}, which the test rows don't have.")
    alive: Probabilities = predict_unique_rows(rows[features], predict_in_threads(pipeline.predict_proba))[:, 1]
    check_probabilities(alive, len(rows), whose)
    return alive
