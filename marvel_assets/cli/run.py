"""``marvel run`` and the jobs: ``dg launch`` in this process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from marvel_assets.paths import ProjectPaths

EVERYTHING = "*"
BRIEF: dict[str, Any] = {"loggers": {"brief": {}}}
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

    target = ("--job", "retrain") if select == EVERYTHING else ("--assets", checked_selection(select))
    before, started = read_references(home), time.monotonic()
    if failed := _launch(home, *target, config=BRIEF):
        return failed
    seconds, is_same = time.monotonic() - started, read_references(home) == before
    print(f"\nDone in {seconds:.0f} s{': nothing has changed since the last run' if is_same else ''}.")
    print_summary(home, with_predictions=not is_same)  # unchanged ones were shown before
    return 0


def checked_selection(selection: str) -> str:
    """A selection as ``dg launch`` takes it; a ConfigError if it is not valid, or selects nothing.

    Groups become patterns, ``group:"training*"``: for a group's name, Dagster warns of a parameter of its own.
    """
    import dagster as dg
    from dagster_shared.check import CheckError

    from marvel_assets.config import ConfigError
    from marvel_assets.definitions import defs

    accepted = re.sub(r"\bgroup:(\w+)", r'group:"\1*"', selection)
    try:
        found = dg.AssetSelection.from_coercible(accepted.split(",")).resolve(defs.resolve_asset_graph())
    except (dg.DagsterError, CheckError) as error:
        raise ConfigError(f"--select {selection!r}: {error}") from error
    if not found:
        raise ConfigError(f"--select {selection!r}: there are no such assets.")
    return accepted


def run_job(home: ProjectPaths, job: str, settings: Sequence[tuple[str, str]]) -> int:
    """Run a job with settings of its op; a ConfigError names each that is unknown, missing or unusable."""
    from pydantic import ValidationError

    from marvel_assets.config import ConfigError, describe_problems
    from marvel_assets.defs.resources import Project

    op, config_class, _ = JOBS[job]
    settings_class, given = resolve_name(config_class), dict[str, Any](settings)
    fields = settings_class.model_fields
    if job == "trial":
        given = {"parameters": {name: _number_or_text(value) for name, value in settings}}
    # Dagster's Config sets missing fields to None, and ignores unknown ones.
    problems = [f"{name}: unknown key; choose from {', '.join(fields)}" for name in given if name not in fields]
    missing = [name for name, field in fields.items() if field.is_required() and name not in given]
    problems += [f"{name} is missing; add --set {name}=…" for name in missing]
    try:
        config = {} if problems else settings_class(**given).model_dump(exclude_unset=True)
        if job == "trial":
            Project.from_environment().config.with_parameters(given["parameters"])
    except ConfigError as error:
        problems = [str(error)]
    except ValidationError as error:
        problems = [describe_problems(error)]
    if problems:
        raise ConfigError(f"marvel {job} --set: {'; '.join(problems)}")
    return _launch(home, "--job", job, config={**BRIEF, "ops": {op: {"config": config}}})


def _number_or_text(value: str) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _launch(home: ProjectPaths, *target: str, config: dict[str, Any]) -> int:
    """Run ``dg launch`` in this process, since another one would import everything again; returns its exit code."""
    from dagster_dg_cli.cli.launch import launch_command

    arguments = ["-m", "marvel_assets.definitions", *target, "--config-json", json.dumps(config)]
    try:
        with _restored_output():
            launch_command.main(args=arguments, prog_name="dg launch")
    except SystemExit as end:
        failed = end.code if isinstance(end.code, int) else int(end.code is not None)
        for problem in home.problems() if failed else ():
            print(problem, file=sys.stderr)
        return failed
    return 0


@contextlib.contextmanager
def _restored_output() -> Iterator[None]:
    """Restore standard output and error at the end.

    Dagster redirects them to files in the home while a step runs, and does not restore them if it can't write those
    files: with a full disk, nothing that is printed afterwards would be seen.
    """
    copies = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    try:
        yield
    finally:
        for descriptor, copy in copies.items():
            os.dup2(copy, descriptor)
            os.close(copy)
