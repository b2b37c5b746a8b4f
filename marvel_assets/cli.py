"""The project at the command line: ``marvel run``, ``ui``, ``serve``, ``summary``, ``doctor``, ``spark-server``.

Each is a thin cover over Dagster's and MLflow's own commands, with this project's home and module filled in.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from marvel_assets.config import ConfigError
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths, ProjectPathsError
from marvel_assets.utils import disk_space

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = "marvel_assets.definitions"
BRIEF: dict[str, object] = {"loggers": {"brief": {}}}
LOOPBACK = "127.0.0.1"
UI_PORT, MLFLOW_PORT, SERVE_PORT, SPARK_PORT = 3000, 5000, 5001, 15002
LAST_PORT = 65_535
EVERYTHING = "*"
INTERRUPTED = "Interrupted; call it again, what was done is kept."
SECONDS_TO_END, SECONDS_BETWEEN_LOOKS = 20, 0.2
READ_ONLY = ("summary", "doctor")
"""Commands that write nothing into the home."""


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(prog="marvel", description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="materialise the graph with `dg launch`, then sum up")
    run.add_argument("--select", default=EVERYTHING, help="assets, in Dagster's selection syntax (default: all)")
    ui = commands.add_parser("ui", help="serve Dagster's and MLflow's pages over the same home")
    ui.add_argument("--port", type=_port, default=UI_PORT, help=f"port of Dagster's pages (default: {UI_PORT})")
    ui.add_argument("--mlflow-port", type=_port, default=MLFLOW_PORT, help=f"of MLflow's (default: {MLFLOW_PORT})")
    serve = commands.add_parser("serve", help="put the custom model under latest-model behind HTTP")
    serve.add_argument("--port", type=_port, default=SERVE_PORT, help=f"port on this machine (default: {SERVE_PORT})")
    commands.add_parser("summary", help="tell what the home holds")
    commands.add_parser("doctor", help="tell what the profile still lacks")
    server = commands.add_parser("spark-server", help="serve Spark with Delta to many runs")
    server.add_argument("--port", type=_port, default=SPARK_PORT, help=f"port on this machine (default: {SPARK_PORT})")
    chosen = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        # Characters' names and texts of others hold letters that a terminal may not have.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    ending = _Ending() if chosen.command == "run" else None
    # Imports make objects that stay. By default Python looks through all of them again and again, for a second in all.
    gc.set_threshold(10_000, 20, 20)

    try:
        home = ProjectPaths.from_environment()
    except ProjectPathsError as error:
        sys.exit(str(error))
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    try:
        _prepare(home, chosen.command, getattr(chosen, "select", EVERYTHING))
        code = _do(chosen, home)
    except (ConfigError, ProjectPathsError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception:
        # A full disk shows in whatever is written or even read next: SQLite speaks of an I/O error.
        if not (problems := disk_space.check(home)):
            raise
        traceback.print_exc()
        sys.exit("\n".join(problems))
    if ending is not None:
        ending.code = code
    sys.exit(code)


class _Ending:
    """Ends the process once everything is done that was registered to be done at its exit.

    Python would then look through half a million objects, to free memory that the system frees anyway: more than a
    second, a fourth of a run that changes nothing.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        atexit.register(self._end)  # the first to be registered is the last to be called

    def _end(self) -> None:
        if self.code is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.code)


def _prepare(home: ProjectPaths, command: str, selection: str) -> None:
    """Make the home ready to be used; what can't be written to or is wrong with the settings ends the command."""
    looks = {"run": disk_space.check, "summary": disk_space.unreadable_home}
    if command != "doctor" and (problems := looks.get(command, disk_space.unwritable_paths)(home)):
        sys.exit("\n".join(problems))
    if command not in READ_ONLY:
        home.prepare()
    if command != "spark-server":
        from marvel_assets.defs.readiness import check_selection, check_settings

        check_settings(home)
        if selection != EVERYTHING:
            check_selection(selection)
    if command not in READ_ONLY:
        _prepare_spark(home, command)


def _prepare_spark(home: ProjectPaths, command: str) -> None:
    """Fetch and make once what lets a local JVM start fast."""
    from marvel_assets.defs.resources import profile_name

    if command == "spark-server" or (profile_name() == "spark" and not os.environ.get("MARVEL_SPARK_URL")):
        from marvel_assets.spark.prepare import prepare

        prepare(home)


def _do(chosen: argparse.Namespace, home: ProjectPaths) -> int:
    match chosen.command:
        case "run":
            return _run(home, chosen.select)
        case "ui":
            return _serve(home, chosen.port, chosen.mlflow_port)
        case "serve":
            _check_ports(PORT=chosen.port)
            return _serve_model(home, chosen.port)
        case "summary":
            _print_summary(home, ask_the_model=True)
        case "doctor":
            return _examine(home)
        case "spark-server":
            _check_ports(PORT=chosen.port)
            _serve_spark(home, chosen.port)
    return 0


def _port(text: str) -> int:
    """A port's number, as argparse asks for it."""
    if text.isascii() and text.isdecimal() and 0 < int(text[:6]) <= LAST_PORT:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text[:20]!r} is no port; choose one from 1 to {LAST_PORT:,}")


def _check_ports(**ports: int) -> None:
    """End the command where a port can't be had: people would be sent to a stranger's page."""
    for variable, port in ports.items():
        with socket.socket() as client, socket.socket() as server:
            # A server on all addresses leaves 127.0.0.1 free to be bound on some systems, and answers there.
            is_taken = client.connect_ex((LOOPBACK, port)) == 0 or list(ports.values()).count(port) > 1
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind((LOOPBACK, port))
            except OSError as error:
                reason = error.strerror
            else:
                reason = "Address already in use" if is_taken else None
        if reason:
            sys.exit(
                f"Port {port}: {reason}. Choose another with {variable}=…, as in: make ui PORT=3001 MLFLOW_PORT=5050"
            )


def _run(home: ProjectPaths, selection: str) -> int:
    from marvel_assets.summary import Materialised

    before, started = Materialised.read(home), time.monotonic()
    target = ("--job", "retrain") if selection == EVERYTHING else ("--assets", selection)
    failed = _launch("-m", MODULE, *target, "--config-json", json.dumps(BRIEF))
    if failed:
        for problem in disk_space.check(home):
            print(problem, file=sys.stderr)
        return failed
    seconds = time.monotonic() - started
    is_same = Materialised.read(home) == before
    print(f"\nDone in {seconds:.0f} s{': nothing has changed since the last run' if is_same else ''}.")
    # A model takes seconds to load; one that has not changed has answered before.
    _print_summary(home, ask_the_model=not is_same)
    return 0


def _launch(*arguments: str) -> int:
    """What ``dg launch`` would do, in this process: a second one would import everything anew."""
    from dagster_dg_cli.cli.launch import launch_command

    try:
        with _restored_output():
            launch_command.main(args=list(arguments), prog_name="dg launch")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


@contextlib.contextmanager
def _restored_output() -> Iterator[None]:
    """Give standard output and error back to whom they belong at the end.

    Dagster points them to files in the home while a step runs, and leaves them there where those can't be written to:
    on a full disk nothing that is printed would be seen.
    """
    copies = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    try:
        yield
    finally:
        for descriptor, copy in copies.items():
            os.dup2(copy, descriptor)
            os.close(copy)


def _print_summary(home: ProjectPaths, *, ask_the_model: bool) -> None:
    from marvel_assets.summary import summary

    with _in_one_line():
        for line in summary(home, ask_the_model=ask_the_model):
            print(line)
    from marvel_assets.defs.resources import profile_resources

    mlflow_pages = profile_resources(home)["tracking"].ui_url or "your Databricks workspace"
    dagster_pages = f"http://{LOOPBACK}:{UI_PORT}"
    print(f"  look next    `make ui`, then {dagster_pages} (lineage, checks, plots) and {mlflow_pages} (MLflow)")


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    """End the command with a sentence where a server or a model's files fail it."""
    from mlflow.exceptions import MlflowException

    from marvel_assets.registry.base import CatalogError
    from marvel_assets.tracking.artifacts import ModelFilesChangedError
    from marvel_assets.tracking.health import add_outage_hint

    try:
        yield
    except (CatalogError, MlflowException, ModelFilesChangedError) as error:
        sys.exit(add_outage_hint(" ".join(str(error).split())))


def _examine(home: ProjectPaths) -> int:
    from marvel_assets.defs.readiness import readiness_checks
    from marvel_assets.defs.resources import profile_name, profile_resources

    resources = profile_resources(home)
    config = resources["project"].config
    print(f"Profile {profile_name()}, environment {config.environment} ({config.catalog_name}.{config.schema_name})")
    is_ready = True
    for check in readiness_checks(config, resources["engine"], resources["tracking"], resources["unity_catalog"]):
        is_ready = is_ready and not check.problems
        print(f"  {check.part:<12} {'ready' if not check.problems else 'lacks something:'}")
        for problem in check.problems:
            print(f"               {problem}")
    return 0 if is_ready else 1


def _serve_model(home: ProjectPaths, port: int) -> int:
    """Run MLflow's scoring server for the version that is under the alias now; a later one needs a new start."""
    from marvel_assets.defs.resources import profile_resources
    from marvel_assets.tracking.artifacts import checked_files
    from marvel_assets.tracking.mlflow_store import connect

    resources = profile_resources(home)
    catalog = resources["unity_catalog"]
    with _in_one_line():
        pair = catalog.pairs(resources["project"].config).current()
    if pair is None:
        sys.exit("Nothing is under latest-model yet. Materialise the graph with `make run` first.")
    uri = f"models:/{pair.custom.name}/{pair.custom.version}"
    client = connect(catalog.tracking_uri, home.locks, catalog.registry_uri)
    # What was checked is what is served: the server fetches nothing by itself.
    with _in_one_line(), checked_files(client, pair.custom.model_id, uri) as files:
        print(f"{uri}: http://127.0.0.1:{port}/invocations   (Ctrl+C ends it)", flush=True)
        command = [sys.executable, "-m", "marvel_assets.model_server", str(files), str(port)]
        return _until_it_ends([Server(command, dict(os.environ))])


def _serve_spark(home: ProjectPaths, port: int) -> None:
    from marvel_assets.spark.connect_server import serve
    from marvel_assets.spark.delta_jars import JarsError
    from marvel_assets.spark.java import JavaError

    print(f"Spark Connect: sc://127.0.0.1:{port}   (Ctrl+C ends it; use it: MARVEL_SPARK_URL=… make run PROFILE=spark)")
    sys.stdout.flush()
    try:
        serve(home.spark, home.locks, port)
    except (JavaError, JarsError) as error:
        sys.exit(str(error))


def _serve(home: ProjectPaths, port: int, mlflow_port: int) -> int:
    from marvel_assets.defs.resources import profile_resources
    from marvel_assets.tracking.mlflow_store import connect

    tracking = profile_resources(home)["tracking"]
    # MLflow's background jobs serve features that are not used here, and cost seven processes.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    dagster = Server(_tool("dagster", "dev", "--host", LOOPBACK, "--port", str(port)), environment)
    servers, mlflow_page = [dagster], tracking.ui_url
    if tracking.tracking_uri == home.mlflow_uri:
        _check_ports(PORT=port, MLFLOW_PORT=mlflow_port)
        connect(home.mlflow_uri, home.locks)
        mlflow_page = f"http://{LOOPBACK}:{mlflow_port}"
        address = ["--host", LOOPBACK, "--port", str(mlflow_port), "--workers", "1"]
        artifacts = ["--default-artifact-root", home.mlflow_artifacts.as_uri()]
        command = _tool("mlflow", "server", "--backend-store-uri", home.mlflow_uri, *artifacts, *address)
        environment["MARVEL_MLFLOW_URL"] = mlflow_page
        servers.append(Server(command, environment))
    else:
        _check_ports(PORT=port)
    print(f"Dagster: http://{LOOPBACK}:{port}   MLflow: {mlflow_page}   (Ctrl+C ends them)", flush=True)
    return _until_it_ends(servers)


class Server(NamedTuple):
    """A command that serves until it is ended, and its environment."""

    command: list[str]
    environment: dict[str, str]


def _until_it_ends(servers: list[Server]) -> int:
    """Start them, and end them all when the first of them ends, or when this process is told to."""
    # A supervisor's SIGTERM ends the servers too, as Ctrl+C does; in the background a shell has both servers and us
    # ignore Ctrl+C, and Dagster's would then ignore SIGTERM as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Dagster finds the code location by workspace.yaml in its folder.
    processes = [
        subprocess.Popen(server.command, cwd=PROJECT_ROOT, env=server.environment, start_new_session=True)  # noqa: S603
        for server in servers
    ]
    try:
        return _first_to_end(processes)
    except KeyboardInterrupt:
        return 0
    finally:
        _end(processes)


def _first_to_end(servers: list[subprocess.Popen[bytes]]) -> int:
    while True:
        for server in servers:
            if (code := server.poll()) is not None:
                print(f"A server ended with exit code {code}: {server.args!r}", file=sys.stderr)
                return code
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _end(servers: list[subprocess.Popen[bytes]]) -> None:
    """Ask the servers to end, and see that nothing of them goes on: each leads a process group of its own."""
    for server in servers:
        server.terminate()
    for server in servers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(SECONDS_TO_END)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _tool(name: str, *arguments: str) -> list[str]:
    """A command of this environment, which need not be on the PATH."""
    return [str(Path(sys.executable).with_name(name)), *arguments]
