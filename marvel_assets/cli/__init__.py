"""Run the graph, look at its results, and predict with the model."""

from __future__ import annotations

import argparse
import atexit
import io
import os
import signal
import sys
import traceback
from pathlib import Path
from pkgutil import resolve_name

from marvel_assets.cli.run import EVERYTHING, JOBS
from marvel_assets.paths import ProjectPaths

READ_ONLY = ("summary", "doctor", "score", "explain", "serve")  # commands that write nothing into the home


def main() -> None:
    """Parse the command line and run the command; exits with its code."""
    for stream in (sys.stdout, sys.stderr):  # names may have letters that the terminal lacks
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    arguments, codes = vars(_parser().parse_args()), list[int]()
    command, function = arguments.pop("command"), arguments.pop("function")
    if command == "run":
        atexit.register(_end_at_once, codes)  # registered first, called last
    try:
        if command != "new-dataset":
            arguments["home"] = _prepared_home(command)
        codes.append(resolve_name(f"marvel_assets.cli.{function}")(**arguments) or 0)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as in `marvel summary | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes it at exit
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        sys.exit("Interrupted; run it again, finished work is kept.")
    except Exception as error:
        _exit_with_reason(error)
        raise
    sys.exit(codes[0])


def _end_at_once(codes: list[int]) -> None:
    """End the process without freeing its objects one by one, which takes Python a quarter of a run without changes."""
    if codes:
        sys.stdout.flush()
        os._exit(codes[0])


def _exit_with_reason(error: Exception) -> None:
    """End the command with a sentence if that says all; what else fails is shown with its stack trace."""
    from marvel_assets.tracking.mlflow_store import add_outage_hint

    if type(error).__module__.startswith(("marvel_assets.", "mlflow.")):  # their texts are written for users
        sys.exit(add_outage_hint(" ".join(str(error).split())))
    if problems := ProjectPaths.from_environment().problems():  # a full disk may cause any error
        traceback.print_exc()
        sys.exit("\n".join(problems))
    if isinstance(error, OSError) and error.filename:
        sys.exit(f"{error.filename}: {error.strerror}.")


def _parser() -> argparse.ArgumentParser:
    from importlib.metadata import version

    parser = argparse.ArgumentParser(prog="marvel", description=__doc__)
    parser.add_argument("--version", action="version", version=f"marvel_assets {version('marvel_assets')}")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, function: str, purpose: str) -> argparse.ArgumentParser:
        """A command that calls a function of this package with the home and the command's arguments."""
        command = commands.add_parser(name, help=purpose)
        command.set_defaults(function=function)
        return command

    run = add("run", "run:materialize", "materialise the graph with `dg launch`, then print a summary")
    run.add_argument("--select", default=EVERYTHING, help="assets, in Dagster's selection syntax (default: all)")
    score = add("score", "answers:score", "predict for the rows of a CSV or Parquet file")
    score.add_argument("file", metavar="FILE", help="CSV or Parquet with the data set's columns; -: standard input")
    score.add_argument("-o", "--output", metavar="OUT", default="-", help="*.csv or *.parquet (default: CSV, printed)")
    explain = add("explain", "answers:explain", "show why the model predicts as it does for one row")
    explain.add_argument("name_or_id", metavar="NAME-OR-ID", help="as in the source")
    explain.add_argument("-o", "--output", metavar="PNG", help="also write a plot to this file")
    for name, (_, _, purpose) in JOBS.items():
        job = add(name, "run:run_job", purpose)
        job.set_defaults(job=name)
        job.add_argument(
            "--set", dest="settings", action="append", type=setting, default=[], metavar="NAME=VALUE",
            help="a setting as in the job's Launchpad; may be repeated",
        )  # fmt: skip
    ui = add("ui", "servers:serve_ui", "serve Dagster's and MLflow's pages")
    ui.add_argument("--port", type=port, default=3000, help="Dagster's port on this machine (default: 3000)")
    ui.add_argument("--mlflow-port", type=port, default=5000, help="MLflow's (default: 5000)")
    serve = add("serve", "servers:serve_model", "serve the custom model at latest-model over HTTP")
    serve.add_argument("--port", type=port, default=5001, help="port on this machine (default: 5001)")
    spark = add("spark-server", "servers:serve_spark", "start a Spark Connect server with Delta")
    spark.add_argument("--port", type=port, default=15002, help="port on this machine (default: 15002)")
    add("summary", "summary:print_summary", "show the home's tables, model and predictions")
    add("doctor", "doctor", "show what the profile still lacks")
    new = add("new-dataset", "scaffold:new_dataset", "write the folder of your own table from a file")
    new.add_argument("name", help="lowercase letters, digits and underscores")
    new.add_argument("--from", dest="file", type=Path, required=True, help="a CSV or Parquet file with the rows")
    new.add_argument("--target", help="the column to predict (default: the last one with two values)")
    new.add_argument("--identifier", help="the column that names a row (default: one without repeats)")
    return parser


def setting(text: str) -> tuple[str, str]:
    """A name and its value, for argparse, which names this type in its error."""
    name, value = text.split("=", maxsplit=1)
    return name, value


def port(text: str) -> int:
    """A number from 1 to 65,535, for argparse."""
    if not 0 < int(text) < 1 << 16:
        raise ValueError
    return int(text)


def _prepared_home(command: str) -> ProjectPaths:
    """The home, prepared for the command, which ends if the home can't be used or a setting is wrong."""
    home = ProjectPaths.from_environment()
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    problems = home.problems(os.R_OK) if command in READ_ONLY else home.problems()
    if problems:
        sys.exit("\n".join(problems))
    if command not in READ_ONLY:
        home.prepare()
    from marvel_assets.defs.resources import profile_resources

    profile_resources(home)  # reads all settings
    return home


def doctor(home: ProjectPaths) -> int:
    """Print what the profile still lacks; returns 1 if that is anything."""
    from marvel_assets.defs.resources import problems_by_part, profile_name, profile_resources

    resources = profile_resources(home)
    config = resources["project"].config
    print(f"Profile {profile_name()}, environment {config.environment} ({config.catalog_name}.{config.schema_name})")
    checks = problems_by_part(config, resources["engine"], resources["tracking"], resources["unity_catalog"])
    for part, problems in checks.items():
        print(f"  {part:<12} {'not ready:' if problems else 'ready'}")
        for problem in problems:
            print(f"               {problem}")
    return int(any(checks.values()))
