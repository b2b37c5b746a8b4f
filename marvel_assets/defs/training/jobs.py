"""Jobs that train: the whole graph, a trial, and a search for better parameters; the last two move no alias."""

from importlib.metadata import version
from typing import Any

import dagster as dg
from pydantic import Field

from marvel_assets.defs.inference.wheel import WheelBuilder
from marvel_assets.defs.registration.challenger import evaluate_challenger
from marvel_assets.defs.resources import Project
from marvel_assets.defs.training.fitting import FIT_MODULES, PARAMETERS, FitConfig, dataset_input, fit_once, log_once
from marvel_assets.evaluation.metrics import metrics_by_label
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.base import ModelVersion
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.pipeline_cache import PipelineCache
from marvel_assets.storage.references import LoggedModelRef, TableVersion
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.artifacts import metrics_of
from marvel_assets.tracking.mlflow_resource import MlflowTracking
from marvel_assets.utils.code_versions import code_version, make_cache_key
from marvel_assets.utils.locks import file_lock

retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.all(),
    description="Bring every asset up to date, from the source to the custom model. Unchanged assets are reused.",
    # The Launchpad opens with these settings, instead of every setting of every resource.
    config={
        "ops": {
            "raw_characters": {"config": {"source": None, "generator_rows": None}},
            "fitted_pipeline": {"config": {"parameters": {}}},
        }
    },
)

weekly_retraining = dg.ScheduleDefinition(
    name="weekly_retraining",
    job=retrain,
    cron_schedule="0 6 * * 1",
    execution_timezone="Europe/Amsterdam",
    description="Mondays at 06:00 in Amsterdam, whether or not the source has changed.",
)

STUDY_CODE_VERSION = code_version("marvel_assets.training.search", *FIT_MODULES)


class TrialConfig(dg.Config):
    """Parameters of the trial."""

    parameters: dict[str, Any] = Field(description=PARAMETERS)


@dg.op
def try_parameters(
    context: dg.OpExecutionContext,
    config: TrialConfig,
    project: Project,
    tables: Tables,
    tracking: MlflowTracking,
    pipeline_cache: PipelineCache,
    wheel_builder: WheelBuilder,
    unity_catalog: UnityCatalog,
) -> None:
    """Fit, log and evaluate a model with other parameters, and compare it with the champion."""
    import pandas as pd

    settings = project.config.with_parameters(config.parameters)
    train_set, test_set = (_latest(settings.qualified(name), tables) for name in ("train_set", "test_set"))
    fitted, _ = fit_once(FitConfig(), train_set, settings, tables, pipeline_cache)
    wheel = wheel_builder.file_of(wheel_builder.wheel())
    logged, _ = log_once(fitted, test_set, wheel, settings, tables, tracking)
    evaluated = evaluate_challenger(logged, project, tables, tracking, unity_catalog)
    result, champion = evaluated.result, evaluated.champion
    metrics = {"trial": metrics_by_label(metrics_of(tracking.client().get_logged_model(logged.model_id)))}
    if champion and (of_champion := _metrics_on_same_rows(champion.basic, logged, tracking)):
        metrics[f"basic version {champion.basic.version}"] = metrics_by_label(of_champion)
    comparison = pd.DataFrame(metrics).to_string(float_format="{:.4f}".format)
    verdict = f"The gate would {'let it through' if result.passed else 'refuse it'}: {result.reason}"
    context.log.info(f"On the test rows:\n{comparison}\n{verdict}\nIn MLflow: {tracking.run_url(logged)}")


@dg.job(description="Train with other parameters, and compare the model with the champion; no alias moves.")
def trial() -> None:
    """Registers nothing. A later run with these parameters in project.yml reuses the fit."""
    try_parameters()


class TuneConfig(dg.Config):
    """Rows, folds and budget of the search."""

    trials: int = Field(default=40, ge=1, description="Sets of parameters to try, including those of earlier runs.")
    minutes: float = Field(default=30.0, gt=0, description="No trial starts after them; run again to resume.")
    folds: int = Field(default=5, ge=2, description="Folds of the cross-validation.")
    holdout: float = Field(
        default=0.2, gt=0, le=0.5, description="Share of the rows held out to compare the best parameters with yours."
    )
    seed: int = Field(default=616, ge=0, lt=2**32, description="Of the folds and of the search.")
    sample: float = Field(default=1.0, gt=0, le=1, description="Share of the training rows, by a hash of their ids.")
    threads: int | None = Field(default=None, ge=1, description="Threads that a fit uses. Default: one per core.")


@dg.op
def tune_hyperparameters(
    context: dg.OpExecutionContext, config: TuneConfig, project: Project, tables: Tables, tracking: MlflowTracking
) -> None:
    """Cross-validate parameters on the training rows, and print the best as a block for project.yml."""
    from marvel_assets.model.pipeline import default_threads
    from marvel_assets.tracking.study_logging import log_study
    from marvel_assets.training.search import SearchBudget, compare_on_holdout, search, split_holdout, to_yaml

    settings, home = project.config, ProjectPaths.from_environment()
    table = _latest(settings.qualified("train_set"), tables)
    dataset = dataset_input(table, settings, tables, config.sample)
    budget = SearchBudget(config.trials, config.minutes, config.folds, config.seed, config.threads or default_threads())
    # A run with the same key continues where the last one ended; the number of trials is not part of the key.
    fit = settings.features, settings.fit_rules, sorted(settings.fit_settings.items())
    rows_used = f"sample {config.sample}", f"holdout {config.holdout}"
    code = STUDY_CODE_VERSION, *(version(library) for library in (settings.model.library, "optuna", "scikit-learn"))
    cache_key = make_cache_key(table, table.content, *fit, budget.splits, budget.seed, *rows_used, *code)
    context.log.info(f"Study {cache_key[:12]} on {len(dataset.rows):,} rows of {table}, up to {budget.trials} trials")
    searched, holdout = split_holdout(dataset.rows, settings.target, config.holdout)
    with file_lock(home.locks, f"study-{cache_key}"):  # one process at a time works on a study
        result = search(settings, searched, budget, home.studies / f"{cache_key}.db", context.log.info)
    comparison = compare_on_holdout(settings, result.best.config, searched, holdout, budget.threads)
    proposal = to_yaml(result, comparison, f"{len(searched):,} rows of {table}")
    name, page = f"{len(result.trials)} trials on {table}", "locations/marvel_assets/jobs/tune"
    searched_with = {"study": cache_key, "trials": len(result.trials), "folds": budget.splits, "seed": budget.seed}
    with tracking.run(settings.experiment_name_tuning, name, page):
        log_study(result, comparison, dataset, searched_with, proposal)
    context.log.info(f"To use these parameters, paste this into {project.config_path}:\n{proposal}")


def _metrics_on_same_rows(champion: ModelVersion, logged: LoggedModelRef, tracking: MlflowTracking) -> dict[str, float]:
    """The champion's metrics, if it was tested on the same rows as the logged model."""
    theirs, ours = (
        tracking.client().get_logged_model(model_id).metrics or [] for model_id in (champion.model_id, logged.model_id)
    )
    rows = {metric.dataset_digest for metric in ours}
    return {metric.key: metric.value for metric in theirs if metric.dataset_digest in rows}


def _latest(name: str, tables: Tables) -> TableVersion:
    if (latest := tables.latest(name)) is None:
        raise dg.Failure(f"{name} does not exist; materialise {name.rpartition('.')[2]} first.")
    return latest.table


@dg.job(description="Search for better parameters on the training rows, and propose them; nothing else changes.")
def tune() -> None:
    """A study that was interrupted continues in the next run."""
    tune_hyperparameters()
