"""``marvel ui``, ``serve`` and ``spark-server``: servers on this machine that run until Ctrl+C."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marvel_assets.defs.resources import profile_resources
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.registry.model_pairs import ALIAS, ModelPair
from marvel_assets.tracking.artifacts import example_of
from marvel_assets.tracking.mlflow_store import connect

if TYPE_CHECKING:
    import pandas as pd
    from fastapi import FastAPI, Request
    from starlette.responses import Response, StreamingResponse

LOOPBACK = "127.0.0.1"
SHUTDOWN_SECONDS, SECONDS_BETWEEN_POLLS = 20, 0.2
MAX_MESSAGE = 1000  # in characters: MLflow repeats the whole body in an error if it can't be parsed


def served_pair_or_exit(home: ProjectPaths, resources: dict[str, Any]) -> ModelPair:
    """The pair under the alias; the command ends if there is none."""
    catalog = resources["unity_catalog"]
    pair: ModelPair | None = None
    if catalog.registry_uri != home.mlflow_uri or home.mlflow_database.exists():  # MLflow would create the database
        pair = catalog.pairs(resources["project"].config).current()
    if pair is None:
        advice = "`make run` trains one; if the gate refused it, `marvel summary` says why."
        sys.exit(f"No model has the alias {ALIAS} yet. {advice}")
    return pair


def serve_model(home: ProjectPaths, port: int) -> None:
    """Serve the version under the alias over HTTP; after the alias moves, restart it."""
    import uvicorn

    _check_port(port)
    resources = profile_resources(home)
    custom = served_pair_or_exit(home, resources).custom
    _end_on_signals()
    with resources["unity_catalog"].files_of(custom) as files:
        app = application(str(files))
        url = f"http://{LOOPBACK}:{port}/invocations"
        print(f"models:/{custom.name}/{custom.version}: {url}   (Ctrl+C stops it). In another terminal:\n")
        print(curl_command(example_of(files), url), flush=True)
        uvicorn.run(app, host=LOOPBACK, port=port)


def application(model: str) -> FastAPI:
    """MLflow's scoring server for a model, with a sentence instead of a stack trace in its errors."""
    from fastapi.responses import JSONResponse
    from mlflow.pyfunc import scoring_server

    app: FastAPI = scoring_server.init(scoring_server.load_model_with_mlflow_config(model))  # type: ignore[no-untyped-call]

    @app.middleware("http")
    async def answer_errors_in_a_sentence(
        request: Request, forward: Callable[[Request], Awaitable[StreamingResponse]]
    ) -> Response:
        answer = await forward(request)
        if answer.status_code != HTTPStatus.BAD_REQUEST:
            return answer
        error = json.loads(b"".join([bytes(part) async for part in answer.body_iterator]))  # type: ignore[arg-type]
        reason = error["stack_trace"].strip().splitlines()[-1] if "stack_trace" in error else error["message"]
        return JSONResponse({"message": reason[:MAX_MESSAGE]}, answer.status_code)

    return app


def curl_command(example: pd.DataFrame, url: str) -> str:
    """A command that scores the first row of a model's input example."""
    records = json.loads(example.head(1).to_json(orient="records"))
    body = shlex.quote(json.dumps({"dataframe_records": records}))
    return f"curl -s {url} -H 'Content-Type: application/json' -d {body}"


def serve_spark(home: ProjectPaths, port: int) -> None:
    """Run a Spark Connect server until the process ends."""
    from marvel_assets.spark.local import serve

    _check_port(port)
    use = "MARVEL_SPARK_URL=… make run PROFILE=spark"
    print(f"Spark Connect: sc://{LOOPBACK}:{port}   (Ctrl+C stops it; to use it: {use})", flush=True)
    serve(home.spark, port)


def serve_ui(home: ProjectPaths, port: int, mlflow_port: int) -> int:
    """Run Dagster's webserver and daemon, and MLflow's server if the runs are in the home."""
    _check_port(port)
    tracking = profile_resources(home)["tracking"]
    # MLflow's background jobs, seven processes, are for features that are not used here.
    mlflow_page, environment = tracking.pages_location, {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment["MARVEL_DAGSTER_URL"] = os.environ.get("MARVEL_DAGSTER_URL") or f"http://{LOOPBACK}:{port}"
    commands = [["dg", "dev", "--workspace", "workspace.yaml", "--host", LOOPBACK, "--port", str(port)]]
    if tracking.tracking_uri == home.mlflow_uri:
        _check_port(mlflow_port, "MLFLOW_PORT")
        connect(home.mlflow_uri, home.locks)
        environment["MARVEL_MLFLOW_URL"] = mlflow_page = f"http://{LOOPBACK}:{mlflow_port}"
        stores = ["--backend-store-uri", home.mlflow_uri, "--default-artifact-root", home.mlflow_artifacts.as_uri()]
        address = ["--host", LOOPBACK, "--port", str(mlflow_port), "--workers", "1"]
        commands.append(["mlflow", "server", *stores, *address, "--uvicorn-opts", "--log-level=warning"])
    print(f"Dagster: http://{LOOPBACK}:{port}   MLflow: {mlflow_page}   (Ctrl+C stops them)", flush=True)
    return _run_until_first_ends(commands, environment)


def _check_port(port: int, variable: str = "PORT") -> None:
    """End the command if the port is in use: the printed URL would lead to another program's page."""
    with socket.socket() as client:
        if client.connect_ex((LOOPBACK, port)) == 0:
            sys.exit(f"Port {port} is in use. Choose another: make … {variable}=…, or marvel … --help")


def _end_on_signals() -> None:
    """Make SIGTERM and Ctrl+C, which a shell's background job and its children ignore, end this process cleanly."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _run_until_first_ends(commands: list[list[str]], environment: dict[str, str]) -> int:
    """Start the servers; when one ends or this process gets a signal, end them all and their process groups."""
    _end_on_signals()
    programs = Path(sys.executable).parent  # may not be on the PATH
    servers: list[subprocess.Popen[bytes]] = []
    try:
        for name, *rest in commands:
            command = [str(programs / name), *rest]
            # workspace.yaml and .env are found in this folder.
            servers.append(subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment, start_new_session=True))  # noqa: S603
        while not (ended := [server for server in servers if server.poll() is not None]):
            time.sleep(SECONDS_BETWEEN_POLLS)
        print(f"A server ended with exit code {ended[0].returncode}: {ended[0].args!r}", file=sys.stderr)
        return ended[0].returncode
    except KeyboardInterrupt:
        return 0
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(SHUTDOWN_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()
