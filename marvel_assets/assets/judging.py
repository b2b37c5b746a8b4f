"""What the gate is asked about a logged model, and what it answered before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from marvel_assets.assets.code_versions import code_version, recipe_of
from marvel_assets.resources import patience
from marvel_assets.resources.unity_catalog.catalog import CatalogError, CatalogUnavailableError

if TYPE_CHECKING:
    import dagster as dg
    import pandas as pd

    from marvel_assets.config import Gate
    from marvel_assets.references import LoggedModelRef
    from marvel_assets.resources.project import Project
    from marvel_assets.resources.tables import Tables
    from marvel_assets.resources.tracking import MlflowTracking
    from marvel_assets.resources.unity_catalog.catalog import CatalogVersion
    from marvel_assets.resources.unity_catalog.model_pair import ModelPair, ModelPairs
    from marvel_assets.survival.gate import Probabilities, Verdict

GATE_CODE = code_version("marvel_assets.survival.gate")
JUDGED_AS, VERDICT = "gate_recipe", "gate_verdict"
"""Tags of a logged model: what it was judged against and by, and the verdict. A champion changes; models don't."""

ROLLED_BACK = "rolled_back_why"
"""Tag of a version that a person has taken out of service."""


def champion_of(pairs: ModelPairs) -> tuple[ModelPair | None, str]:
    """The pair that is served, and what is wrong with it where it can't be told.

    Raises:
        CatalogUnavailableError: the catalog does not answer, which says nothing of the pair.
    """
    try:
        return pairs.current(), ""
    except CatalogUnavailableError:
        raise
    except CatalogError as error:
        return None, str(error)


def judged(
    context: dg.AssetExecutionContext,
    model: LoggedModelRef,
    champion: ModelPair | None,
    champion_problem: str,
    known: CatalogVersion | None,
    project: Project,
    tables: Tables,
    tracking: MlflowTracking,
) -> Verdict:
    """Judge a model against the pair that is served, unless that was done before.

    Args:
        context: of the asset, for its log.
        model: the challenger.
        champion: what is served; None where there is nothing, or where it can't be told.
        champion_problem: why it can't be told.
        known: the version that was made of the challenger before, if any.
        project: thresholds.
        tables: where the test rows are.
        tracking: where both models are.

    Raises:
        BrokenModelError: the challenger's predictions are no probabilities.
    """
    from marvel_assets.survival.gate import Verdict

    thresholds = project.config.gate
    if known is not None and known.tags.get(ROLLED_BACK):
        taken_back = f"version {known.version} was rolled back: {known.tags[ROLLED_BACK]}"
        return Verdict((f"{taken_back}; put it back with the job approve, or fit another",))
    if champion is not None and champion.basic.model_id == model.model_id:
        return Verdict((), note=f"it is the champion, basic version {champion.basic.version}")
    against = champion.basic.model_id if champion else champion_problem
    recipe = recipe_of(model.model_id, against, thresholds.model_dump_json(), GATE_CODE)
    tags = tracking.tags_of(model)
    if tags.get(JUDGED_AS) == recipe:
        return Verdict.from_json(tags[VERDICT])
    context.log.info(f"Judging {model.model_id} against {champion or 'no champion'}")
    verdict, is_final = _judge(model, champion, champion_problem, thresholds, tables, tracking)
    if is_final:
        tracking.tag_model(model, {VERDICT: verdict.to_json(), JUDGED_AS: recipe})
    return verdict


def _judge(
    model: LoggedModelRef,
    champion: ModelPair | None,
    champion_problem: str,
    thresholds: Gate,
    tables: Tables,
    tracking: MlflowTracking,
) -> tuple[Verdict, bool]:
    """The verdict, and whether the next look would give the same: a champion may be out of reach for a moment."""
    from dataclasses import replace

    from marvel_assets.survival.gate import judge
    from marvel_assets.survival.schema import TARGET

    challenger = load_pipeline(model.model_id, tracking)
    champion_model, champion_scores = None, None
    if champion is not None:
        failed_calls = patience.failures()
        try:
            champion_model = load_pipeline(champion.basic.model_id, tracking)
        except Exception as error:  # whatever keeps it from loading: it is told, and decides against
            if patience.failures() > failed_calls:
                raise  # a server that does not answer says nothing of the champion
            champion_problem = f"basic version {champion.basic.version} can't be loaded: {_in_short(error)}"
    rows = _test_rows(model, tables, tracking, [challenger, champion_model])
    if champion_model is not None and champion is not None:
        try:
            champion_scores = _probabilities(champion_model, rows, "the champion")
        except Exception as error:  # noqa: BLE001 - the same
            champion_problem = f"basic version {champion.basic.version} can't be scored: {_in_short(error)}"
    note = "no champion to compare with" if champion is None and not champion_problem else ""
    verdict = judge(
        rows, rows[TARGET].to_numpy(), _probabilities(challenger, rows, "the challenger"), champion_scores, thresholds,
        note=note,
    )  # fmt: skip
    if champion_problem:
        way_out = "roll back to a version that can be, or set gate.mode to report for one run"
        unknown = f"the champion can't be compared with: {champion_problem} ({way_out})"
        return replace(verdict, refusals=(*verdict.refusals, unknown)), False
    return verdict, True


def _test_rows(model: LoggedModelRef, tables: Tables, tracking: MlflowTracking, models: list[Any]) -> pd.DataFrame:
    """The rows that the challenger was tested on, at their version, with the columns that either model needs."""
    from marvel_assets.survival.gate import SLICED_BY
    from marvel_assets.survival.inspection import input_of
    from marvel_assets.survival.schema import FEATURES
    from marvel_assets.survival.training_rows import columns_for_training, to_frame

    source = input_of(tracking.client().get_run(model.run_id), "testing")
    needed = {*SLICED_BY, *(name for fitted in models if fitted is not None for name in fitted.feature_names_in_)}
    columns = [name for name in FEATURES if name in needed]
    location = Path(source.path) if source.path else tables.location(str(source.table))
    return to_frame(tables.read_at(location, source.version, columns_for_training(columns)), columns)


def load_pipeline(model_id: str, tracking: MlflowTracking) -> Any:  # noqa: ANN401 - a scikit-learn pipeline
    """A basic model's pipeline, from the files that were logged."""
    from marvel_assets.model.safe_loading import load_trusted

    with tracking.files_of(model_id) as folder:
        return load_trusted(folder)


def _probabilities(pipeline: Any, rows: pd.DataFrame, whose: str) -> Probabilities:  # noqa: ANN401
    from marvel_assets.model.batching import asked_once_each, on_every_core
    from marvel_assets.survival.gate import check_probabilities

    features = rows[list(pipeline.feature_names_in_)]
    alive: Probabilities = asked_once_each(features, on_every_core(pipeline.predict_proba))[:, 1]
    check_probabilities(alive, len(rows), whose)
    return alive


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no text'}"
