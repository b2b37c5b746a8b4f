"""The asset graph, run in this process: seconds instead of the imports of a new one."""

from pathlib import Path
from typing import Any

import dagster as dg

from marvel_assets.definitions import defs
from marvel_assets.defs.resources import profile_resources
from marvel_assets.defs.training.assets import basic_model
from marvel_assets.paths import ProjectPaths

WORK = ("Reading", "Cleaning", "Fitting", "Evaluating", "Comparing", "Wrapping", "Scoring")


def run_graph(
    home: ProjectPaths,
    source: Path | str | None = None,
    instance: dg.DagsterInstance | None = None,
    *,
    select: str = "*",
    resources: dict[str, Any] | None = None,
    parameters: dict[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialise a selection; a failure is in the result.

    Resources are new, so that assets exchange what is stored, as between processes.
    """
    configured = {"raw_characters": source and {"source": str(source)}, "fitted_pipeline": parameters}
    job = dg.define_asset_job("retrain", dg.AssetSelection.from_coercible(select.split(",")))
    return _execute(home, job, configured, resources, instance)


def run_job(
    home: ProjectPaths,
    name: str,
    op: str,
    instance: dg.DagsterInstance | None = None,
    resources: dict[str, Any] | None = None,
    **config: Any,
) -> dg.ExecuteInProcessResult:
    """One of the jobs that users start by name."""
    [job] = [job for job in defs.jobs if job.name == name]
    return _execute(home, job, {op: config}, resources, instance)


def inspect_alone(home: ProjectPaths) -> dg.ExecuteInProcessResult:
    """The checks of basic_model without the asset, as *Execute* on its page does."""
    return _execute(home, dg.define_asset_job("inspect", dg.AssetSelection.checks_for_assets(basic_model)), {})


def _execute(
    home: ProjectPaths,
    job: Any,
    configured: dict[str, Any],
    resources: dict[str, Any] | None = None,
    instance: dg.DagsterInstance | None = None,
) -> dg.ExecuteInProcessResult:
    resources = resources or profile_resources(home)
    graph = dg.Definitions(assets=defs.assets, asset_checks=defs.asset_checks, jobs=[job], resources=resources)
    settings = {"ops": {op: {"config": config} for op, config in configured.items() if config}}
    return graph.resolve_job_def(job.name).execute_in_process(settings, instance, raise_on_error=False)


def succeeded(result: dg.ExecuteInProcessResult) -> dg.ExecuteInProcessResult:
    """The result if the run succeeded; else a failure with the reason."""
    assert result.success, failure_of(result)
    return result


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """The reason of the one step that failed."""
    [failure] = [event for event in result.all_events if event.is_step_failure]
    error = failure.step_failure_data.error
    return str((error.cause or error).message)


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, object]:
    """What the one materialisation of an asset reports, whether the asset itself or a job logged it."""
    events = [event for event in succeeded(result).all_events if event.is_step_materialization]
    made = [event.step_materialization_data.materialization for event in events]
    [metadata] = [each.metadata for each in made if each.asset_key.path[-1] == asset]
    return {name: value.value for name, value in metadata.items()}


def work_of(result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> list[str]:
    """The steps that a run logs, since their results did not exist."""
    messages = [entry.user_message for entry in instance.all_logs(result.run_id)]
    return [message for message in messages if message.startswith(WORK)]


def observed(result: dg.ExecuteInProcessResult) -> list[str]:
    """The descriptions of the observations."""
    found = [event for event in result.all_events if event.event_type_value == "ASSET_OBSERVATION"]
    return [str(event.asset_observation_data.asset_observation.description) for event in found]


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Whether each asset check passed."""
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}
