"""A real `mlflow server` on loopback, with a database and an artifact store of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marvel_assets_tests.pages import free_port
from marvel_assets_tests.servers.starting import answers, wait_until


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Its URL. The artifacts go through it. It is ended by its process group's id."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [
        str(Path(sys.executable).with_name("mlflow")), "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DATABRICKS_"))}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command,
            env={**inherited, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: answers(f"{url}/health"), server, f"MLflow, see {folder / 'server.log'},")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
