"""``marvel run`` and the jobs: ``dg launch`` in this process."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import sys
import time
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from marvel_assets.cli.servers import LOOPBACK, UI_PORT, in_one_line
from marvel_assets.config import ConfigError
from marvel_assets.defs import disk_space
from marvel_assets.utils.errors import describe_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from marvel_assets.paths import ProjectPaths

MODULE = "marvel_assets.definitions"
BRIEF: dict[str, object] = {"loggers": {"brief": {}}}
EVERYTHING = "*"


def materialize(home: ProjectPaths, selection: str) -> int:
    """Materialise the selected assets and print the summary; returns the exit code."""
    from marvel_assets.cli.summary import read_references

    before, started = read_references(home), time.monotonic()
    target = ("--job", "retrain") if selection == EVERYTHING else ("--assets", selection)
    failed = _launch("-m", MODULE, *target, "--config-json", json.dumps(BRIEF))
    if failed:
        for problem in disk_space.check(home):
            print(problem, file=sys.stderr)
        return failed
    seconds = time.monotonic() - started
    is_same = read_references(home) == before
    print(f"\nDone in {seconds:.0f} s{': nothing has changed since the last run' if is_same else ''}.")
    print_summary(home, with_predictions=not is_same)  # unchanged ones were shown before
    return 0


class JobCommand(NamedTuple):
    """A Dagster job that is also a command.

    Attributes:
        op: has the settings.
        config: their class, as ``module:name``; imported only when the command runs.
        purpose: the command's help text.
    """

    op: str
    config: str
    purpose: str


TRAINING, REGISTRATION = "marvel_assets.defs.training.jobs", "marvel_assets.defs.registration.aliases"
JOBS = {
    "trial": JobCommand(
        "try_parameters",
        f"{TRAINING}:TrialConfig",
        "train with other parameters, and compare with the champion; no alias moves",
    ),
    "tune": JobCommand(
        "tune_hyperparameters", f"{TRAINING}:TuneConfig", "search for better parameters, and propose them"
    ),
    "rollback": JobCommand(
        "rollback_models",
        f"{REGISTRATION}:RollbackConfig",
        "put an earlier pair of models back under the alias; needs --set reason=…",
    ),
    "approve": JobCommand(
        "approve_models", f"{REGISTRATION}:ApproveConfig", "put a waiting pair of models under the alias"
    ),
    "promote": JobCommand(
        "promote_pair", f"{REGISTRATION}:PromoteConfig", "copy the pair of models to the next environment"
    ),
}


def run_job(name: str, settings: dict[str, str]) -> int:
    """Run a job with settings of its op; returns the exit code.

    Raises:
        ConfigError: naming each setting that is unknown, missing or unusable.
    """
    job = JOBS[name]
    config_class = resolve_name(job.config)
    fields = config_class.model_fields
    given: dict[str, Any] = dict(settings)
    if name == "trial":
        given = {"parameters": {key: _number_or_text(value) for key, value in settings.items()}}
    # Dagster's Config sets missing fields to None, and ignores unknown ones.
    problems = [f"{key}: unknown key; choose from {', '.join(fields)}" for key in given if key not in fields]
    problems += [f"{key}: missing key" for key, field in fields.items() if field.is_required() and key not in given]
    try:
        config = {} if problems else config_class(**given).model_dump(exclude_unset=True)
        if "parameters" in config:
            from marvel_assets.defs.resources import Project

            Project.from_environment().config.with_parameters(config["parameters"])
    except ConfigError as error:
        problems = [str(error)]
    except ValidationError as error:
        problems = describe_problems(error)
    if problems:
        raise ConfigError(f"marvel {name} --set: {'; '.join(problems)}")
    content = {**BRIEF, "ops": {job.op: {"config": config}}}
    return _launch("-m", MODULE, "--job", name, "--config-json", json.dumps(content))


def _number_or_text(value: str) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return value


def check_selection(selection: str) -> None:
    """Check an asset selection.

    Raises:
        ConfigError: it selects nothing, or is not valid.
    """
    import dagster as dg
    from dagster_shared.check import CheckError

    from marvel_assets.definitions import defs

    try:
        found = dg.AssetSelection.from_coercible(selection.split(",")).resolve(defs.resolve_asset_graph())
    except (dg.DagsterError, CheckError) as error:
        raise ConfigError(f"--select {selection!r}: {error}") from error
    if not found:
        raise ConfigError(f"--select {selection!r}: there are no such assets.")


def _launch(*arguments: str) -> int:
    """Run ``dg launch`` in this process: another one would import everything again."""
    from dagster_dg_cli.cli.launch import launch_command

    try:
        with _restored_output():
            launch_command.main(args=list(arguments), prog_name="dg launch")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
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


def print_summary(home: ProjectPaths, *, with_predictions: bool) -> None:
    """Print the summary of the home, and what to do next."""
    from marvel_assets.cli.summary import summary
    from marvel_assets.defs.resources import profile_resources
    from marvel_assets.registry.model_pairs import ALIAS

    with in_one_line():
        lines = list(summary(home, with_predictions=with_predictions))
    print("\n".join(lines))
    mlflow_pages = profile_resources(home)["tracking"].ui_url or "your Databricks workspace"
    dagster_pages = f"http://{LOOPBACK}:{UI_PORT}/asset-groups"
    chosen = f"MARVEL_DATASET={name} " if (name := os.environ.get("MARVEL_DATASET")) else ""
    if any(f"alias {ALIAS}" in line for line in lines):
        asked = ("make serve", ".venv/bin/marvel explain NAME-OR-ID", ".venv/bin/marvel score FILE -o OUT")
        print(f"  ask next     {', '.join(f'`{chosen}{command}`' for command in asked)}")
    print(f"  look next    `make ui`, then {dagster_pages} (lineage, checks, plots) and {mlflow_pages} (MLflow)")


class QuickExit:
    """Ends the process after its exit handlers.

    Otherwise Python would free half a million objects one by one, which takes more than a second, a quarter of a run
    that changes nothing.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        atexit.register(self._end)  # registered first, called last

    def _end(self) -> None:
        if self.code is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.code)
