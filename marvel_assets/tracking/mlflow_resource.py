"""MLflow as a resource: one MLflow run per Dagster run and experiment.

A run has the tag ``dagster_run_id`` from its creation, so that it is found even if its process is killed at any point.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field, PrivateAttr

from marvel_assets.model.safe_loading import digest_of_files
from marvel_assets.paths import ProjectPaths
from marvel_assets.spark.session import databricks_config
from marvel_assets.storage.references import LoggedModelRef
from marvel_assets.tracking.artifacts import FILES_DIGEST, PLOTS_FOLDER, checked_files, downloaded, remove_bytecode
from marvel_assets.tracking.mlflow_store import artifact_root_of, connect, store_problems
from marvel_assets.tracking.run_tags import DAGSTER_RUN_ID, run_tags
from marvel_assets.utils.locks import file_lock, heartbeat, home_id, is_running

if TYPE_CHECKING:
    import mlflow

HOME_ID = "marvel_home"
"""Tag of a run: its home. Abandoned runs are ended only by their own home, which can see whether they are alive."""

CACHE_KEY = "cache_key"
"""Tag of a logged model: a hash of everything that decides it. Set last, so that it marks complete models."""

REGISTERED_VERSION = "registered_version"
"""Tag of a logged model, followed by the name of a registered model: the number of its version there."""

INSPECTION, PASSED, INSPECTED_IN = "inspection", "passed", "inspected_in"
"""Tags of a logged model: the result of its inspection, PASSED if all checks did, and the Dagster run of that."""

DESCRIPTION_TAG = "mlflow.note.content"  # tag that MLflow's pages show as the description, in Markdown


class MlflowTracking(dg.ConfigurableResource):  # type: ignore[type-arg]
    """MLflow's tracking store and registry, local by default."""

    tracking_uri: str = Field(description="Tracking store. Default: SQLite under MARVEL_HOME.")
    registry_uri: str | None = Field(default=None, description="Model registry, if it is another store.")
    locks: str = Field(description="Folder of the lock files, which show which Dagster runs are alive.")
    ui_url: str = Field(default="http://127.0.0.1:5000", description="URL of MLflow's pages, for links.")
    dagster_url: str = Field(default="http://127.0.0.1:3000", description="URL of Dagster's pages, for links.")

    _instance: dg.DagsterInstance | None = PrivateAttr(default=None)
    _dagster_run_id: str = PrivateAttr(default="")

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Remember the Dagster run."""
        self._instance = context.instance
        self._dagster_run_id = context.run.run_id if context.run else ""

    @property
    def _home(self) -> ProjectPaths:
        return ProjectPaths(Path(self.locks).parent)

    def problems(self) -> list[str]:
        """What prevents the tracking store from being used."""
        return store_problems(self.tracking_uri, self._home.locks, self.registry_uri)

    def client(self) -> mlflow.MlflowClient:
        """A client of the store; MLflow's own functions use the same store."""
        return connect(self.tracking_uri, self._home.locks, self.registry_uri)

    @contextmanager
    def run(self, experiment: str, name: str, page: str) -> Iterator[mlflow.ActiveRun]:
        """Activate this Dagster run's MLflow run in an experiment; it ends with the block.

        A retried step resumes the run of its first attempt. A run that the caller has open stays open. ``page`` is
        Dagster's page of the asset or job that logs, such as ``assets/basic_model``.
        """
        import mlflow

        self.end_abandoned_runs(experiment)
        experiment_id = self.ensure_experiment(experiment)
        with heartbeat(self._home.locks, self._dagster_run_id):
            mlflow.set_experiment(experiment_id=experiment_id)  # MLflow starts runs only in the active experiment
            run_id = self._find_or_create_run(experiment_id, name, page)
            if self._instance is not None:  # shown in Dagster's list of runs
                tags = run_tags(self._dagster_run_id)
                sha, dash, state = tags["git_sha"].partition("-")
                shown = {"git_sha": f"{sha[:7]}{dash}{state}", "branch": tags["branch"], f"mlflow{experiment}": run_id}
                self._instance.add_run_tags(self._dagster_run_id, shown)
            with mlflow.start_run(run_id=run_id, nested=True) as active:
                yield active

    def ensure_experiment(self, name: str) -> str:
        """The id of an experiment, which is created if it is missing."""
        from mlflow.exceptions import MlflowException

        client = self.client()
        found = client.get_experiment_by_name(name)
        if found is None:
            about = f"Runs of the Dagster project marvel_assets: [its lineage]({self.dagster_url}/asset-groups)."
            location = self._artifact_location(client, name)
            try:
                return str(client.create_experiment(name, location, {DESCRIPTION_TAG: about}))
            except MlflowException:
                found = client.get_experiment_by_name(name)  # another process may have just created it
                if found is None:
                    raise
        return str(found.experiment_id)

    def end_abandoned_runs(self, *experiments: str) -> None:
        """End the runs that killed processes of this home left RUNNING in experiments with these names."""
        client = self.client()
        found = [each.experiment_id for each in map(client.get_experiment_by_name, experiments) if each]
        own = f"attributes.status = 'RUNNING' and tags.{HOME_ID} = '{home_id(self._home.locks)}'"
        for run in client.search_runs(found, own) if found else []:
            is_alive = is_running(self._home.locks, run.data.tags.get(DAGSTER_RUN_ID, ""))
            # It may have ended in the meantime.
            if not is_alive and client.get_run(run.info.run_id).info.status == "RUNNING":
                client.set_terminated(run.info.run_id, "KILLED")

    def find_model(self, experiment: str, cache_key: str, registered_name: str) -> LoggedModelRef | None:
        """The complete model with this cache key whose run was not deleted, or None.

        If two machines logged one at the same time, both find the one whose version under that name is the higher.
        """
        client, experiment_id = self.client(), self.ensure_experiment(experiment)
        found = client.search_logged_models([experiment_id], filter_string=f"tags.{CACHE_KEY} = '{cache_key}'")
        tag = f"{REGISTERED_VERSION}.{registered_name}"
        by_version = sorted(found, key=lambda model: (int(model.tags.get(tag, "0")), model.model_id))
        for model in reversed(by_version):
            # Without the run, the model has no metrics, plots and inputs.
            if client.search_runs([experiment_id], f"attributes.run_id = '{model.source_run_id}'"):
                return LoggedModelRef(model.name, model.model_id, str(model.source_run_id), experiment)
        return None

    def lock(self, cache_key: str) -> AbstractContextManager[None]:
        """Held while a model is looked up and logged: of two concurrent runs, the second finds the first's."""
        return file_lock(self._home.locks, f"model-{cache_key}")

    def mark_complete(self, model: LoggedModelRef, cache_key: str) -> None:
        """Tag a model with its cache key and digest, the last step of logging: from now on it is found and reused."""
        with downloaded(model.uri) as files:
            remove_bytecode(files)
            self.tag_model(model, {CACHE_KEY: cache_key, FILES_DIGEST: digest_of_files(files)})

    def files_of(self, model_id: str) -> AbstractContextManager[Path]:
        """A verified copy of a logged model's files; see ``checked_files``."""
        digest = self.client().get_logged_model(model_id).tags.get(FILES_DIGEST, "")
        return checked_files(f"models:/{model_id}", model_id, digest)

    def tag_model(self, model: LoggedModelRef, tags: dict[str, str]) -> None:
        """Set tags on a logged model."""
        self.client().set_logged_model_tags(model.model_id, tags)

    def tags_of(self, model: LoggedModelRef) -> dict[str, str]:
        """The current tags of a logged model."""
        return dict(self.client().get_logged_model(model.model_id).tags)

    def tag_registered_version(self, model: LoggedModelRef, name: str, version: int) -> None:
        """Tag a logged model with its registered version, by which ``find_model`` chooses."""
        tag = f"{REGISTERED_VERSION}.{name}"
        if self.tags_of(model).get(tag) != str(version):
            self.tag_model(model, {tag: str(version)})

    def plots_of(self, model: LoggedModelRef) -> dict[str, bytes]:
        """The plots of a model's run: PNG files by name."""
        with tempfile.TemporaryDirectory() as folder:
            local = Path(self.client().download_artifacts(model.run_id, PLOTS_FOLDER, folder))
            return {file.stem: file.read_bytes() for file in sorted(local.glob("*.png"))}

    def provenance_tags(self, page: str) -> dict[str, str]:
        """The tags of a run or logged model: commit, Dagster run, and a description for MLflow's pages with links."""
        pages, run = self.dagster_url, self._dagster_run_id
        made_by = f"Made by [{page.rpartition('/')[2]}]({pages}/{page}) in [Dagster run {run[:8]}]({pages}/runs/{run})"
        return {**run_tags(run), DESCRIPTION_TAG: made_by}

    def run_url(self, model: LoggedModelRef) -> str:
        """MLflow's page of the run that logged a model."""
        return self._page(f"experiments/{self.ensure_experiment(model.experiment)}/runs/{model.run_id}")

    def model_url(self, model: LoggedModelRef) -> str:
        """MLflow's page of a logged model."""
        return self._page(f"experiments/{self.ensure_experiment(model.experiment)}/models/{model.model_id}")

    @cached_property
    def pages_url(self) -> str:
        """The URL of MLflow's pages without a slash at its end; on Databricks, of the workspace."""
        if self._is_databricks:
            return str(databricks_config(self.tracking_uri.partition("://")[2] or None).host)
        return self.ui_url.rstrip("/")

    @property
    def pages_location(self) -> str:
        """Where MLflow's pages are, in words to print: their URL, or the workspace that a profile names."""
        return self.ui_url or "your Databricks workspace"

    def version_url(self, name: str, version: int) -> str:
        """The page of a model version: MLflow's, Databricks' catalog explorer, or a Unity Catalog server's answer."""
        if self._is_databricks:
            return f"{self.pages_url}/explore/data/models/{name.replace('.', '/')}/version/{version}"
        path = f"models/{name}/versions/{version}"
        scheme, _, server = (self.registry_uri or "").partition(":")
        return f"{server.rstrip('/')}/api/2.1/unity-catalog/{path}" if scheme == "uc" else self._page(path)

    @property
    def _is_databricks(self) -> bool:
        return self.tracking_uri.startswith("databricks")

    def _page(self, path: str) -> str:
        """The URL of an MLflow page; without ``workflowType`` it would open on the traces of language models."""
        root = self.pages_url
        return f"{root}/ml/{path}" if self._is_databricks else f"{root}/#/{path}?workflowType=machine_learning"

    def _find_or_create_run(self, experiment_id: str, name: str, page: str) -> str:
        client, condition = self.client(), f"tags.{DAGSTER_RUN_ID} = '{self._dagster_run_id}'"
        for found in client.search_runs([experiment_id], condition):
            return str(found.info.run_id)
        tags = self.provenance_tags(page)
        origin = {HOME_ID: home_id(self._home.locks), "mlflow.source.name": "marvel_assets.definitions"}
        commit = {"mlflow.source.git.commit": tags["git_sha"], "mlflow.source.git.branch": tags["branch"]}
        run = client.create_run(experiment_id, tags={**tags, **origin, **commit}, run_name=name)
        for made in client.search_runs([experiment_id], condition):
            if made.info.run_id != run.info.run_id:  # MLflow repeated a request whose answer was lost
                client.delete_run(made.info.run_id)
        return str(run.info.run_id)

    def _artifact_location(self, client: mlflow.MlflowClient, experiment: str) -> str | None:
        """The artifact location of a new experiment; None if the server decides."""
        if self.tracking_uri == self._home.mlflow_uri:
            return (self._home.mlflow_artifacts / experiment.strip("/")).as_uri()
        root = None if self.tracking_uri.startswith(("http", "databricks")) else artifact_root_of(client)
        return root and f"{root}/{experiment.strip('/')}"
