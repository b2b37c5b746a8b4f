"""Run the graph, look at its results, and predict with the model."""

from __future__ import annotations

import argparse
import atexit
import io
import os
import shlex
import signal
import sys
import traceback
from pathlib import Path

from marvel_assets.cli.run import EVERYTHING, JOBS, materialize, run_job
from marvel_assets.paths import ProjectPaths, ProjectPathsError

LAST_PORT = 65_535
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
    chosen, codes = _parser().parse_args(), list[int]()
    if chosen.command == "run":
        atexit.register(_end_at_once, codes)  # registered first, called last
    try:
        home = ProjectPaths.from_environment()
        os.environ["DAGSTER_HOME"] = str(home.dagster)
        _prepare(home, chosen.command)
        codes.append(_do(chosen, home))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as in `marvel summary | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes it at exit
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        sys.exit("Interrupted." if chosen.command in READ_ONLY else "Interrupted; run it again, finished work is kept.")
    except Exception as error:
        _exit_with_reason(error)
        raise
    sys.exit(codes[0])


def _end_at_once(codes: list[int]) -> None:
    """End the process without freeing its objects one by one, which takes Python a quarter of a run without changes."""
    if codes:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(codes[0])


def _exit_with_reason(error: Exception) -> None:
    """End the command with a sentence if that says all; what else fails is shown with its stack trace."""
    from marvel_assets.config import ConfigError
    from marvel_assets.sources.base import SourceError
    from marvel_assets.spark.local import SparkError

    if isinstance(error, ConfigError | ProjectPathsError | SourceError | SparkError):
        sys.exit(str(error))

    from mlflow.exceptions import MlflowException

    from marvel_assets.defs import disk_space
    from marvel_assets.registry.base import RegistryError
    from marvel_assets.tracking.artifacts import ModelFilesChangedError
    from marvel_assets.tracking.health import add_outage_hint

    home = ProjectPaths.from_environment()
    if isinstance(error, RegistryError | MlflowException | ModelFilesChangedError):
        sys.exit(disk_space.add_disk_hint(add_outage_hint(" ".join(str(error).split())), home))
    if problems := disk_space.check(home):  # a full disk may cause any error
        traceback.print_exc()
        sys.exit("\n".join(problems))
    if isinstance(error, OSError) and error.filename:
        sys.exit(f"{error.filename}: {error.strerror}.")


def _parser() -> argparse.ArgumentParser:
    from importlib.metadata import version

    parser = argparse.ArgumentParser(
        prog="marvel", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"marvel_assets {version('marvel_assets')}")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="materialise the graph with `dg launch`, then print a summary")
    run.add_argument("--select", default=EVERYTHING, help="assets, in Dagster's selection syntax (default: all)")
    score = commands.add_parser("score", help="predict for the rows of a CSV or Parquet file")
    score.add_argument("file", metavar="FILE", help="CSV or Parquet with the data set's columns; -: standard input")
    score.add_argument(
        "-o", "--output", metavar="OUT", default="-", help="*.csv or *.parquet (default: -, CSV printed)"
    )
    explain = commands.add_parser("explain", help="show why the model predicts as it does for one row")
    explain.add_argument("row", metavar="NAME-OR-ID", help="as in the source")
    explain.add_argument("-o", "--output", metavar="PNG", help="also write a plot to this file")
    for name, (_, _, purpose) in JOBS.items():
        job = commands.add_parser(name, help=purpose)
        job.add_argument(
            "--set", dest="settings", action="append", type=_setting, default=[], metavar="NAME=VALUE",
            help="a setting as in the job's Launchpad; may be repeated",
        )  # fmt: skip
    for name, port, purpose in (
        ("ui", 3000, "serve Dagster's and MLflow's pages"),
        ("serve", 5001, "serve the custom model at latest-model over HTTP"),
        ("spark-server", 15002, "start a Spark Connect server with Delta"),
    ):
        server = commands.add_parser(name, help=purpose)
        server.add_argument("--port", type=_port, default=port, help=f"port on this machine (default: {port})")
        if name == "ui":
            server.add_argument("--mlflow-port", type=_port, default=5000, help="(default: 5000)")
    commands.add_parser("summary", help="show the home's tables, model and predictions")
    commands.add_parser("doctor", help="show what the profile still lacks")
    new = commands.add_parser("new-dataset", help="write the folder of your own table from a file")
    new.add_argument("name", help="lowercase letters, digits and underscores")
    new.add_argument("--from", dest="file", type=Path, required=True, help="a CSV or Parquet file with the rows")
    new.add_argument("--target", help="the column to predict (default: the last one with two values)")
    new.add_argument("--identifier", help="the column that names a row (default: one without repeats)")
    return parser


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


def _prepare(home: ProjectPaths, command: str) -> None:
    """Prepare the home; the command ends if it can't be written to or a setting is wrong."""
    if command == "new-dataset":
        return
    from marvel_assets.defs import disk_space

    mode = os.R_OK if command in READ_ONLY else os.R_OK | os.W_OK
    problems = disk_space.check(home) if command == "run" else disk_space.check_access(home, mode)
    if command != "doctor" and problems:
        sys.exit("\n".join(problems))
    if command not in READ_ONLY:
        home.prepare()
    if command != "spark-server":
        from marvel_assets.defs.readiness import check_settings

        check_settings(home)


def _do(chosen: argparse.Namespace, home: ProjectPaths) -> int:
    """Run the command; returns the exit code."""
    from marvel_assets.cli import servers

    code = 0
    match chosen.command:
        case "run":
            code = materialize(home, chosen.select)
        case "summary":
            from marvel_assets.cli.summary import print_summary

            print_summary(home)
        case "score":
            from marvel_assets.cli.answers import score

            score(home, chosen.file, chosen.output)
        case "explain":
            from marvel_assets.cli.answers import explain

            explain(home, chosen.row, chosen.output)
        case "ui":
            code = servers.serve_pages(home, chosen.port, chosen.mlflow_port)
        case "serve":
            servers.serve_model(home, chosen.port)
        case "spark-server":
            servers.serve_spark(home, chosen.port)
        case "doctor":
            code = _doctor(home)
        case "new-dataset":
            _new_dataset(chosen)
        case job:
            code = run_job(job, dict(chosen.settings))
    return code


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


def _new_dataset(chosen: argparse.Namespace) -> None:
    from marvel_assets import datasets
    from marvel_assets.cli.scaffold import new_dataset

    folder = new_dataset(chosen.name, chosen.file, Path(datasets.__path__[0]), chosen.target, chosen.identifier)
    print(f"Wrote {folder}: check the guesses in __init__.py and the rules in cleaning.sql, then\n")
    source = shlex.quote(str(chosen.file.resolve()))
    print(f"  export MARVEL_DATASET={chosen.name}\n  MARVEL_SOURCE={source} make run")
