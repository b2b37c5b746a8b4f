"""Evaluates the gate for a logged model, and caches the result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from marvel_assets.defs.dataset_inputs import find_dataset_input
from marvel_assets.registry.model_pairs import ROLLBACK_REASON
from marvel_assets.utils.code_versions import code_version, make_cache_key

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    import dagster as dg
    import pandas as pd

    from marvel_assets.defs.resources import Project
    from marvel_assets.evaluation.gate import GateResult
    from marvel_assets.evaluation.roc_auc import Probabilities
    from marvel_assets.registry.base import ModelRegistry, ModelVersion
    from marvel_assets.registry.model_pairs import ModelPair, ModelPairs
    from marvel_assets.registry.resource import UnityCatalog
    from marvel_assets.storage.references import LoggedModelRef
    from marvel_assets.storage.tables import Tables
    from marvel_assets.tracking.mlflow_resource import MlflowTracking

GATE_CODE_VERSION = code_version("marvel_assets.evaluation.gate")
CACHE_KEY, RESULT = "gate_cache_key", "gate_result"
"""Tags of a logged model: a hash of everything that decides the gate's result, and the result."""

BEST_SERVED = "best_served_model"
"""Tag of a basic version: the best model served so far, including itself, on the version's own test rows."""


class ColumnMissingError(LookupError):
    """The test rows lack a column that a model needs."""


class ModelMissingError(RuntimeError):
    """A model is gone, or its files have changed since it was logged."""


@dataclass(frozen=True)
class Baselines:
    """The models that a challenger is compared with.

    Attributes:
        champion: the pair that is served, or None.
        best: the best model served so far, unless that is the champion or was rolled back.
    """

    champion: ModelPair | None
    best: ModelVersion | None = None

    @classmethod
    def find(cls, pairs: ModelPairs, registry: ModelRegistry) -> Baselines:
        """Look them up in the registry.

        Raises:
            RegistryError: the registry does not answer, or the alias does not point at a complete pair.
        """
        champion = pairs.current()
        best_id = champion.basic.tags.get(BEST_SERVED) if champion else None
        if champion is None or best_id in {None, champion.basic.model_id}:
            return cls(champion)
        served = registry.search_versions(champion.basic.name, model_id=best_id)
        return cls(champion, best=next((version for version in served if not version.tags.get(ROLLBACK_REASON)), None))

    def best_with(self, model_id: str, result: GateResult) -> str:
        """The id of the best model once ``model_id`` is served, by the comparisons on the same rows.

        A model that is registered despite a refusal resets it: a person accepted the loss.
        """
        if self.champion is None or not result.comparisons or not result.passed:
            return model_id
        baseline = self.best if self.best and len(result.comparisons) > 1 else self.champion.basic
        return baseline.model_id if result.comparisons[-1].difference < 0 else model_id


def evaluate_challenger_cached(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    model: LoggedModelRef,
    known: ModelVersion | None,
    baselines: Baselines,
    project: Project,
    tables: Tables,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
) -> GateResult:
    """Evaluate the gate, or return the cached result.

    Args:
        context: of the asset or op, for its log.
        model: the challenger.
        known: its version, if it is registered.
        baselines: the models to compare it with.
        project: the gate's settings.
        tables: the test rows.
        tracking: the challenger's files.
        unity_catalog: the baselines' files.
    """
    from marvel_assets.evaluation.gate import GateResult
    from marvel_assets.tracking.model_logging import log_slices

    champion, best = baselines.champion, baselines.best
    tags = tracking.tags_of(model)
    if known is not None and known.tags.get(ROLLBACK_REASON):
        failure = f"version {known.version} was rolled back: {known.tags[ROLLBACK_REASON]}"
        return GateResult((failure,), advice="Put it back with the job approve, or fit another model.")
    if champion is not None and champion.basic.model_id == model.model_id:
        before = GateResult.from_json(tags[RESULT]) if RESULT in tags else GateResult()
        note = f"it is the champion, basic version {champion.basic.version}"
        return replace(before, failures=(), warnings=(*before.failures, *before.warnings), note=note, advice="")
    cache_key = make_cache_key(
        model.model_id,
        champion.basic.model_id if champion else "",
        best.model_id if best else "",
        project.config.gate.model_dump_json(),
        project.config.dataset.slice_columns,
        GATE_CODE_VERSION,
    )
    if tags.get(CACHE_KEY) == cache_key:
        return GateResult.from_json(tags[RESULT])
    context.log.info(f"Comparing {model.model_id} against {champion or 'no champion'}")
    result, is_final = _evaluate(model, baselines, project, tables, tracking, unity_catalog)
    log_slices(tracking.client(), model.run_id, result.slices)
    if is_final:
        tracking.tag_model(model, {RESULT: result.to_json(), CACHE_KEY: cache_key})
    return result


def _evaluate(
    model: LoggedModelRef,
    baselines: Baselines,
    project: Project,
    tables: Tables,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
) -> tuple[GateResult, bool]:
    """The result, and whether it may be cached: not if the comparison with a baseline failed."""
    from marvel_assets.evaluation.gate import CHAMPION, evaluate_gate

    versions = {CHAMPION: baselines.champion.basic} if baselines.champion else {}
    if baselines.best:
        versions[f"best model served (version {baselines.best.version})"] = baselines.best
    challenger, pipelines = load_pipeline(tracking.files_of(model.model_id)), {}
    problems: dict[str, str] = {}
    for name, version in versions.items():
        try:
            pipelines[name] = load_pipeline(unity_catalog.files_of(version))
        except ModelMissingError as error:
            problems[name] = f"basic version {version.version} can't be loaded: {error}"
    rows = _test_rows(model, project, tables, tracking, [challenger, *pipelines.values()])
    scores: dict[str, Probabilities] = {}
    for name, pipeline in pipelines.items():
        try:
            scores[name] = probabilities(pipeline, rows, f"the {name}")
        except ColumnMissingError as error:
            problems[name] = f"basic version {versions[name].version} can't be scored: {error}"
    note = "" if versions else "no champion to compare with"
    candidate = probabilities(challenger, rows, "the challenger")
    slices = rows[[name for name in project.config.dataset.slice_columns if name in rows.columns]]
    alive = rows[project.config.target].to_numpy()
    result = evaluate_gate(slices, alive, candidate, scores, project.config.gate, note=note)
    for name, problem in problems.items():
        text = f"no comparison with the {name}: {problem}"
        if name == CHAMPION:
            text += " (roll back to another version, or set gate.mode to report for one run)"
            result = replace(result, failures=(*result.failures, text))
        else:
            result = replace(result, warnings=(*result.warnings, text))
    advice = (
        f"What to do: the thresholds are under gate in {project.config_path}; with mode: report the model is "
        "registered anyway."
    )
    return replace(result, advice="" if result.passed else advice), not problems


def _test_rows(
    model: LoggedModelRef, project: Project, tables: Tables, tracking: MlflowTracking, pipelines: list[Any]
) -> pd.DataFrame:
    """The challenger's test rows, at their version, with the columns that any of the models needs."""
    from marvel_assets.training.dataset import dataset_columns, to_frame

    source = find_dataset_input(model.run_id, "testing", project, tables, tracking)
    dataset, target = project.config.dataset, project.config.target
    needed = {*dataset.slice_columns, *(name for pipeline in pipelines for name in pipeline.feature_names_in_)}
    columns = [name for name in dataset.by_name if name in needed]
    return to_frame(tables.read_at(*source, dataset_columns(columns, target)), columns, target)


def load_pipeline(files: AbstractContextManager[Path]) -> Any:  # noqa: ANN401 - a scikit-learn pipeline
    """A basic model's pipeline.

    Args:
        files: of a logged model (``tracking.files_of``), or of a version (``unity_catalog.files_of``).

    Raises:
        ModelMissingError: the model was deleted, or its files are missing, changed or not trusted.
    """
    from mlflow.exceptions import MlflowException

    from marvel_assets.model.safe_loading import UntrustedModelError, load_trusted
    from marvel_assets.tracking.artifacts import ModelFilesChangedError

    try:
        with files as folder:
            return load_trusted(folder)
    except (ModelFilesChangedError, UntrustedModelError) as error:
        raise ModelMissingError(str(error)) from error
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise  # the server may be down, and the model still there
        raise ModelMissingError(str(error)) from error


def probabilities(pipeline: Any, rows: pd.DataFrame, whose: str) -> Probabilities:  # noqa: ANN401
    """The probabilities of class 1 that the gate compares, of shape (n,), computed as in batch scoring.

    Raises:
        ColumnMissingError: the rows lack a column that the model needs.
    """
    from marvel_assets.model.batching import predict_unique_rows

    features = list(pipeline.feature_names_in_)
    if missing := [name for name in features if name not in rows.columns]:
        raise ColumnMissingError(f"{whose} needs column {', '.join(missing)}, which the test rows don't have.")
    alive: Probabilities = predict_unique_rows(pipeline, rows[features])[:, 1]
    return alive
