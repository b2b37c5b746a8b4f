"""Run the graph, look at its results, and predict with the model.

Most commands are thin wrappers around Dagster's and MLflow's, with this project's home and module filled in.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from marvel_assets.cli.run import EVERYTHING, JOBS, QuickExit, check_selection, materialize, print_summary, run_job
from marvel_assets.cli.servers import (
    MLFLOW_PORT,
    SERVE_PORT,
    SPARK_PORT,
    UI_PORT,
    check_ports,
    serve_model,
    serve_pages,
    serve_spark,
)
from marvel_assets.config import ConfigError
from marvel_assets.defs import disk_space
from marvel_assets.paths import ProjectPaths, ProjectPathsError

LAST_PORT = 65_535
INTERRUPTED = "Interrupted; run it again, finished work is kept."
EXAMPLES = """examples:
  marvel run                              everything, then a summary
  marvel run --select '*basic_model'      one asset and everything upstream
  marvel trial --set n_estimators=300     compare a model with the champion; no alias moves
  marvel score new.csv -o scored.csv      your own rows; - is standard input or output
  marvel explain NAME-OR-ID               why the model predicts this for a row
  marvel serve                            the model over HTTP
"""
READ_ONLY = ("summary", "doctor", "score", "explain")
"""Commands that write nothing into the home."""


def main() -> None:
    """Parse the command line and run the command; exits with its code."""
    for stream in (sys.stdout, sys.stderr):
        # Names and other texts may contain characters that the terminal's encoding lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    chosen = _parser().parse_args()
    ending = QuickExit() if chosen.command == "run" else None
    try:
        home = ProjectPaths.from_environment()
    except ProjectPathsError as error:
        sys.exit(str(error))
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    try:
        _prepare(home, chosen.command, getattr(chosen, "select", EVERYTHING))
        with _quiet_when_cut_off():
            code = _do(chosen, home)
    except (ConfigError, ProjectPathsError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted." if chosen.command in READ_ONLY else INTERRUPTED)
    except Exception as error:
        _exit_with_reason(error, home)
        raise
    if ending is not None:
        ending.code = code
    sys.exit(code)


def _exit_with_reason(error: Exception, home: ProjectPaths) -> None:
    """End the command if the disk is full, which may cause any error, or a file can't be read or written."""
    if problems := disk_space.check(home):
        traceback.print_exc()
        sys.exit("\n".join(problems))
    if isinstance(error, OSError) and error.filename:
        sys.exit(f"{error.filename}: {error.strerror}.")


@contextlib.contextmanager
def _quiet_when_cut_off() -> Iterator[None]:
    """End the command without a stack trace when its output pipe is closed, as by ``| head``."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes it at exit
        sys.exit(128 + signal.SIGPIPE)


def _parser() -> argparse.ArgumentParser:
    from importlib.metadata import version

    parser = argparse.ArgumentParser(
        prog="marvel",
        description=(__doc__ or "").splitlines()[0],
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"marvel_assets {version('marvel_assets')}")
    commands = parser.add_subparsers(dest="command", required=True)
    run_parser = commands.add_parser("run", help="materialise the graph with `dg launch`, then print a summary")
    run_parser.add_argument("--select", default=EVERYTHING, help="assets, in Dagster's selection syntax (default: all)")
    ui = commands.add_parser("ui", help="serve Dagster's and MLflow's pages")
    ui.add_argument("--port", type=_port, default=UI_PORT, help=f"port of Dagster's pages (default: {UI_PORT})")
    ui.add_argument("--mlflow-port", type=_port, default=MLFLOW_PORT, help=f"of MLflow's (default: {MLFLOW_PORT})")
    score = commands.add_parser("score", help="predict for the rows of a CSV or Parquet file")
    score.add_argument("subject", metavar="FILE", help="CSV or Parquet with the data set's columns; -: standard input")
    score.add_argument(
        "-o", "--output", metavar="OUT", default="-", help="*.csv or *.parquet (default: -, CSV printed)"
    )
    explain = commands.add_parser("explain", help="show why the model predicts as it does for one row")
    explain.add_argument("subject", metavar="NAME-OR-ID", help="as in the source")
    explain.add_argument("-o", "--output", metavar="PNG", help="also write a plot to this file")
    for name, job_command in JOBS.items():
        job = commands.add_parser(name, help=job_command.purpose)
        job.add_argument(
            "--set", dest="settings", action="append", type=_setting, default=[], metavar="NAME=VALUE",
            help="a setting as in the job's Launchpad; may be repeated",
        )  # fmt: skip
    serve = commands.add_parser("serve", help="serve the custom model at latest-model over HTTP")
    serve.add_argument("--port", type=_port, default=SERVE_PORT, help=f"port on this machine (default: {SERVE_PORT})")
    commands.add_parser("summary", help="show the home's tables, model and predictions")
    commands.add_parser("doctor", help="show what the profile still lacks")
    server = commands.add_parser("spark-server", help="start a Spark Connect server with Delta")
    server.add_argument("--port", type=_port, default=SPARK_PORT, help=f"port on this machine (default: {SPARK_PORT})")
    new = commands.add_parser("new-dataset", help="write the folder of your own table from a file")
    new.add_argument("name", help="lowercase letters, digits and underscores")
    new.add_argument("--from", dest="file", type=Path, required=True, help="a CSV or Parquet file with the rows")
    new.add_argument("--target", help="the column to predict (default: the last one with two values)")
    new.add_argument("--identifier", help="the column that names a row (default: one without repeats)")
    return parser


def _prepare(home: ProjectPaths, command: str, selection: str) -> None:
    """Prepare the home; the command ends if it can't be written to or a setting is wrong."""
    if command == "new-dataset":
        return
    mode = os.R_OK if command in READ_ONLY else os.R_OK | os.W_OK
    problems = disk_space.check(home) if command == "run" else disk_space.check_access(home, mode)
    if command != "doctor" and problems:
        sys.exit("\n".join(problems))
    if command not in READ_ONLY:
        home.prepare()
    if command != "spark-server":
        from marvel_assets.defs.readiness import check_settings

        check_settings(home)
        if selection != EVERYTHING:
            check_selection(selection)


def _do(chosen: argparse.Namespace, home: ProjectPaths) -> int:
    code = 0
    match chosen.command:
        case "run":
            code = materialize(home, chosen.select)
        case "ui":
            code = serve_pages(home, chosen.port, chosen.mlflow_port)
        case "score" | "explain" as command:
            from marvel_assets.cli import answers

            getattr(answers, command)(home, chosen.subject, chosen.output)
        case "serve":
            check_ports(PORT=chosen.port)
            code = serve_model(home, chosen.port)
        case "summary":
            print_summary(home, with_predictions=True)
        case job if job in JOBS:
            code = run_job(job, dict(chosen.settings))
        case "doctor":
            code = _doctor(home)
        case "new-dataset":
            _new_dataset(chosen.name, chosen.file, chosen.target, chosen.identifier)
        case "spark-server":
            check_ports(PORT=chosen.port)
            serve_spark(home, chosen.port)
    return code


def _new_dataset(name: str, file: Path, target: str | None, identifier: str | None) -> None:
    from marvel_assets import datasets
    from marvel_assets.cli.columns import ScaffoldError
    from marvel_assets.cli.scaffold import new_dataset

    try:
        folder = new_dataset(name, file, Path(datasets.__path__[0]), target, identifier)
    except ScaffoldError as error:
        sys.exit(str(error))
    print(f"Wrote {folder}: check the guesses in __init__.py and the rules in cleaning.sql, then\n")
    print(f"  export MARVEL_DATASET={name}\n  MARVEL_SOURCE={shlex.quote(str(file.resolve()))} make run")


def _setting(text: str) -> tuple[str, str]:
    """A name and its value: an argparse type."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text[:50]!r} is not a setting; expected NAME=VALUE.")
    return name, value


def _port(text: str) -> int:
    """A port number: an argparse type."""
    if text.isascii() and text.isdecimal() and 0 < int(text[:6]) <= LAST_PORT:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a port; choose one from 1 to {LAST_PORT:,}")


def _doctor(home: ProjectPaths) -> int:
    from marvel_assets.defs.readiness import readiness_checks
    from marvel_assets.defs.resources import profile_name, profile_resources

    resources = profile_resources(home)
    config = resources["project"].config
    print(f"Profile {profile_name()}, environment {config.environment} ({config.catalog_name}.{config.schema_name})")
    checks = readiness_checks(config, resources["engine"], resources["tracking"], resources["unity_catalog"])
    for part, problems in checks.items():
        print(f"  {part:<12} {'not ready:' if problems else 'ready'}")
        for problem in problems:
            print(f"               {problem}")
    return int(any(checks.values()))
