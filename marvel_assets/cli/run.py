"""``marvel run`` and the jobs: ``dg launch`` in this process."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pkgutil import resolve_name
from typing import Any

from marvel_assets.paths import ProjectPaths

EVERYTHING = "*"
TRAINING, ALIASES = "marvel_assets.defs.training.jobs", "marvel_assets.defs.registration.aliases"
JOBS = {
    "trial": ("try_parameters", f"{TRAINING}:TrialConfig", "train with other parameters, compare with the champion"),
    "tune": ("tune_hyperparameters", f"{TRAINING}:TuneConfig", "search for better parameters, and propose them"),
    "rollback": ("rollback_models", f"{ALIASES}:RollbackConfig", "put an earlier pair of models back under the alias"),
    "approve": ("approve_models", f"{ALIASES}:ApproveConfig", "put a waiting pair of models under the alias"),
    "promote": ("promote_pair", f"{ALIASES}:PromoteConfig", "copy the pair of models to the next environment"),
}
"""Dagster's jobs that are also commands: the op with the settings, their class (imported when it is used), the help."""


def materialize(home: ProjectPaths, select: str) -> int:
    """Materialise the selected assets and print the summary; returns the exit code."""
    from marvel_assets.cli.summary import print_summary, read_references

    target = ("--job", "retrain") if select == EVERYTHING else ("--assets", _checked_selection(select))
    before, started = read_references(home), time.monotonic()
    if failed := _launch(home, *target):
        return failed
    seconds, is_same = time.monotonic() - started, read_references(home) == before
    print(f"\nDone in {seconds:.0f} s{': nothing has changed since the last run' if is_same else ''}.")
    print_summary(home, with_predictions=not is_same)  # unchanged ones were shown before
    return 0


def _checked_selection(select: str) -> str:
    import dagster as dg

    from marvel_assets.config import ConfigError
    from marvel_assets.definitions import defs

    try:
        found = dg.AssetSelection.from_coercible(select.split(",")).resolve(defs.resolve_asset_graph())
    except dg.DagsterError as error:
        raise ConfigError(f"--select {select!r}: {error}") from error
    if not found:
        raise ConfigError(f"--select {select!r}: there are no such assets.")
    return select


def run_job(home: ProjectPaths, job: str, settings: Sequence[tuple[str, str]]) -> int:
    """Run a job with settings of its op; a ConfigError names each that is unknown, missing or unusable."""
    from pydantic import ConfigDict, ValidationError, create_model

    from marvel_assets.config import ConfigError, describe_problems
    from marvel_assets.defs.resources import Project

    op, config_class, _ = JOBS[job]
    given: dict[str, Any] = dict(settings)
    if job == "trial":
        given = {"parameters": {name: _number_or_text(value) for name, value in settings}}
        Project.from_environment().config.with_parameters(given["parameters"])
    fields: dict[str, Any] = resolve_name(config_class).model_fields
    typed: dict[str, Any] = {name: (field.annotation, field) for name, field in fields.items()}
    # Dagster's own class ignores unknown keys, and sets missing ones to None.
    strict = create_model(job, __config__=ConfigDict(extra="forbid"), **typed)
    try:
        config = strict(**given).model_dump(exclude_unset=True)
    except ValidationError as error:
        problems = describe_problems(error)
        raise ConfigError(f"marvel {job} --set: {problems}; the settings are {', '.join(fields)}.") from error
    return _launch(home, "--job", job, ops={op: {"config": config}})


def _number_or_text(value: str) -> object:
    with suppress(ValueError):
        return json.loads(value)
    return value


def _launch(home: ProjectPaths, *target: str, **config: object) -> int:
    """Run ``dg launch`` in this process, since another one would import everything again; returns its exit code."""
    from dagster_dg_cli.cli.launch import launch_command

    run_config = json.dumps({"loggers": {"brief": {}}, **config})
    # Dagster redirects both while a step runs, and with a full disk leaves them so: nothing more would be seen.
    output, errors = os.dup(1), os.dup(2)
    failed: Any = 0
    try:
        launch_command.main(["-m", "marvel_assets.definitions", *target, "--config-json", run_config], "dg launch")
    except SystemExit as end:
        failed = end.code
    finally:
        os.dup2(output, 1)
        os.dup2(errors, 2)
    for problem in home.problems() if failed else ():
        print(problem, file=sys.stderr)
    return int(failed or 0)
