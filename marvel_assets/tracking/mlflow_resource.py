"""MLflow: one run for each Dagster run and experiment, ended with the status that it earned.

Runs are opened by dagster-mlflow and bear the tag ``dagster_run_id``: every process of one Dagster run writes into the
same MLflow run. What is mended here: two experiments in one process get a run each, a run is opened only when something
is logged, it has its tags from the first moment, so that it is found wherever its maker is cut off, and it is ended by
the resource, in every way of running.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field, PrivateAttr

from marvel_assets.config import Tags
from marvel_assets.storage.references import LoggedModelRef
from marvel_assets.tracking import patience
from marvel_assets.tracking.artifacts import FILES_DIGEST, checked_files, digest_at
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets.tracking.reachability import StoreError, artifact_root_of, store_problems
from marvel_assets.utils.locks import exclusive, home_id
from marvel_assets.utils.run_heartbeat import giving_a_sign, goes_on

if TYPE_CHECKING:
    import mlflow

    from marvel_assets.evaluation.model_card import Facts

DAGSTER_RUN_ID = "dagster_run_id"
HOME_ID = "marvel_home"
"""Tag that tells whose runs a reaper may end: only those whose liveness it can see."""

CACHE_KEY = "cache_key"
"""Tag of a logged model: the hash of all that it was made of and by. Set last, so that it marks the whole ones."""

VERSION = "registered_version"
"""Tag of a logged model: the number of the version that was made of it."""

INSPECTION = "inspection"
PASSED = "passed"
"""Tag of a logged model, and its value where all its checks have passed."""

INSPECTED_IN = "inspected_in"
"""Tag of a logged model: the Dagster run in which it was inspected."""

ENDS = {dg.DagsterRunStatus.SUCCESS: "FINISHED", dg.DagsterRunStatus.FAILURE: "FAILED"}
INTERRUPTIONS = {"KeyboardInterrupt", "DagsterExecutionInterruptedError"}


class MlflowTracking(dg.ConfigurableResource):  # type: ignore[type-arg]
    """MLflow's tracking store and registry, local by default."""

    tracking_uri: str = Field(description="Tracking store. Default: SQLite under MARVEL_HOME.")
    registry_uri: str | None = Field(default=None, description="Model registry, where that is another store.")
    artifact_root: str | None = Field(
        default=None,
        description="Folder under which new experiments keep their artifacts. Default: the store's own place.",
    )
    locks: str = Field(description="Folder of the locks that show which Dagster runs are alive.")
    ui_url: str = Field(
        default="http://127.0.0.1:5000",
        description="Where MLflow's own pages are served, for links in the UI.",
    )

    _open_runs: dict[str, str] = PrivateAttr(default_factory=dict)
    _context: dg.InitResourceContext | None = PrivateAttr(default=None)
    _dagster_run_id: str = PrivateAttr(default="")
    _alive: ExitStack | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[MlflowTracking]:
        """Hand out the resource, and end its runs when the Dagster run (or its step's process) is over."""
        patience.begin_anew()
        self._context = context
        self._dagster_run_id = context.run.run_id if context.run else f"no-dagster-run-{uuid.uuid4()}"
        status = "KILLED"
        try:
            yield self
            status = _earned_status(context)
        except Exception:
            status = "FAILED"
            raise
        finally:
            self._end_runs(status)

    def problems(self) -> list[str]:
        """What keeps the tracking store from being used; a database in the home needs nothing."""
        if self.artifact_root is not None or self._is_databricks:
            return []
        return store_problems(self.tracking_uri, Path(self.locks), self.registry_uri)

    def client(self) -> mlflow.MlflowClient:
        """A client of the store; the first call also ends the runs that killed processes left behind."""
        client = connect(self.tracking_uri, Path(self.locks), self.registry_uri)
        if self._alive is None:
            self._alive = ExitStack()
            self._alive.enter_context(giving_a_sign(Path(self.locks), self._dagster_run_id))
            self._end_runs_of_the_dead(client)
        return client

    @contextmanager
    def run(self, experiment: str, tags: Tags) -> Iterator[mlflow.ActiveRun]:
        """Make this Dagster run's MLflow run in an experiment the active one.

        The run is created by the first call, resumed by later ones, and goes on until the resource ends it.
        """
        import mlflow

        self.client()
        with _outside_any_run():
            run_id = self._open_runs.get(experiment) or self._open(experiment, tags)
            self._open_runs[experiment] = run_id
            with _resume(run_id) as active:
                try:
                    yield active
                finally:
                    mlflow.end_run("RUNNING")

    def experiment_id(self, name: str) -> str:
        """The experiment of this name, created where there is none."""
        from mlflow.exceptions import MlflowException

        client = self.client()
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return str(client.create_experiment(name, self._artifact_location(client, name)))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                experiment = client.get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage != "active":
            raise RuntimeError(f"MLflow's experiment {name} is deleted; restore it, or name another in project.yml.")
        return str(experiment.experiment_id)

    def find_model(self, experiment: str, cache_key: str) -> LoggedModelRef | None:
        """The model that was logged by this cache key and completed, and whose run was not deleted since, or None.

        Two machines that logged one each at the same moment find the same one: that of the later version. Which was
        logged later is told by no clock that they share.
        """
        found = self.client().search_logged_models(
            [self.experiment_id(experiment)], filter_string=f"tags.{CACHE_KEY} = '{cache_key}'"
        )
        by_version = sorted(found, key=lambda model: (int(model.tags.get(VERSION, "0")), model.model_id))
        for model in reversed(by_version):
            if self._has_run(model.source_run_id or ""):
                return LoggedModelRef(model.name, model.model_id, model.source_run_id or "", experiment)
        return None

    def _has_run(self, run_id: str) -> bool:
        """Whether the run of a model is still there: its metrics, plots and inputs go with it."""
        from mlflow.exceptions import MlflowException

        try:
            return bool(self.client().get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False

    def lock(self, cache_key: str) -> AbstractContextManager[None]:
        """Hold this while a model is looked for and logged: of two runs at once, the second finds the first's."""
        return exclusive(Path(self.locks), f"model-{cache_key}")

    def complete_model(self, model: LoggedModelRef, cache_key: str) -> LoggedModelRef:
        """Note what it is on a model, as the last thing that is done to it: from here on it is found and reused."""
        self.tag_model(model, {CACHE_KEY: cache_key, FILES_DIGEST: digest_at(model.uri)})
        return model

    def files_of(self, model_id: str, uri: str | None = None) -> AbstractContextManager[Path]:
        """A copy of a logged model's files, if they are still those that were logged; see ``checked_files``."""
        return checked_files(self.client(), model_id, uri)

    def digest_of(self, model_id: str) -> str:
        """The digest of a logged model's files as they were logged; '' where it was never noted."""
        return str(self.client().get_logged_model(model_id).tags.get(FILES_DIGEST, ""))

    def note_version(self, model: LoggedModelRef, version: int) -> None:
        """Note on a model which version was made of it."""
        if self.tags_of(model).get(VERSION) != str(version):
            self.tag_model(model, {VERSION: str(version)})

    def tag_model(self, model: LoggedModelRef, tags: dict[str, str]) -> None:
        """Set tags on a logged model."""
        self.client().set_logged_model_tags(model.model_id, tags)

    def metrics_of(self, model: LoggedModelRef) -> dict[str, float]:
        """The metrics that were logged with a model."""
        logged = self.client().get_logged_model(model.model_id)
        return {metric.key: metric.value for metric in logged.metrics or []}

    def tags_of(self, model: LoggedModelRef) -> dict[str, str]:
        """The tags of a logged model."""
        return dict(self.client().get_logged_model(model.model_id).tags)

    def plots_of(self, model: LoggedModelRef) -> dict[str, bytes]:
        """The plots of a model's run, as PNG files by name."""
        import tempfile

        from marvel_assets.tracking.model_logging import PLOTS_FOLDER

        with tempfile.TemporaryDirectory() as folder:
            local = Path(self.client().download_artifacts(model.run_id, PLOTS_FOLDER, folder))
            return {file.stem: file.read_bytes() for file in sorted(local.glob("*.png"))}

    def log_text(self, model: LoggedModelRef, text: str, file: str) -> None:
        """Keep a text among the artifacts of a model's run."""
        self.client().log_text(model.run_id, text, file)

    def facts_of(self, model: LoggedModelRef) -> Facts:
        """What a model card tells, as it was logged."""
        from marvel_assets.evaluation.model_card import Facts
        from marvel_assets.tracking.inspection import dataset_source
        from marvel_assets.tracking.model_logging import PLOTS_FOLDER

        client = self.client()
        run, logged = client.get_run(model.run_id), client.get_logged_model(model.model_id)
        parameters = dict(run.data.params)
        features = parameters.pop("features", "").split(",")
        traces = {name: logged.tags[name] for name in Tags.model_fields if name in logged.tags}
        plots = [Path(file.path).stem for file in client.list_artifacts(model.run_id, PLOTS_FOLDER)]
        return Facts(
            model_id=model.model_id,
            trained_on=f"{dataset_source(run, 'training')} ({logged.tags.get('training_rows', 'unknown')} rows)",
            tested_on=str(dataset_source(run, "testing")),
            features=features,
            parameters=parameters,
            metrics={metric.key: metric.value for metric in logged.metrics or []},
            traces=traces,
            plots=sorted(plots),
            run_id=model.run_id,
        )

    def run_url(self, model: LoggedModelRef) -> str:
        """MLflow's page of the run that logged a model."""
        return f"{self._pages}/experiments/{self.experiment_id(model.experiment)}/runs/{model.run_id}"

    def model_url(self, model: LoggedModelRef) -> str:
        """MLflow's page of a logged model."""
        return f"{self._pages}/experiments/{self.experiment_id(model.experiment)}/models/{model.model_id}"

    def version_url(self, name: str, version: int) -> str:
        """The page of a model version, in MLflow or in Databricks' catalog explorer."""
        if self._is_databricks:
            return f"{self.ui_url}/explore/data/models/{name.replace('.', '/')}/version/{version}"
        return f"{self._pages}/models/{name}/versions/{version}"

    @property
    def _is_databricks(self) -> bool:
        return self.tracking_uri.startswith("databricks")

    @property
    def _pages(self) -> str:
        return f"{self.ui_url.rstrip('/')}/{'ml' if self._is_databricks else '#'}"

    def _open(self, experiment: str, tags: Tags) -> str:
        """Let dagster-mlflow open the run. It must meet no active one: it would take that for its own."""
        import mlflow

        all_tags = {
            **tags.as_dict(),
            DAGSTER_RUN_ID: self._dagster_run_id,
            HOME_ID: home_id(Path(self.locks)),
            "mlflow.runName": f"dagster-{self._dagster_run_id[:8]}",
            "mlflow.source.name": "marvel_assets.definitions",
            "mlflow.source.git.commit": tags.git_sha,
            "mlflow.source.git.branch": tags.branch,
        }
        assert self._context is not None, "a run is opened only within yield_for_execution"  # noqa: S101
        # Steps in processes of their own would each find none, and start one.
        with exclusive(Path(self.locks), "mlflow-open"):
            run_id = self._find_or_create(experiment, all_tags)
        settings = {
            "experiment_name": experiment,
            "mlflow_tracking_uri": self.tracking_uri,
            "mlflow_run_id": run_id,
            "extra_tags": all_tags,
        }
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", dg.BetaWarning)
                from dagster_mlflow.resources import MlFlow

                MlFlow(self._context.replace_config(settings))  # type: ignore[no-untyped-call]
        finally:
            # Where it failed half-way, its run must not be taken for the caller's own by the next one.
            mlflow.end_run("RUNNING")
        self._tag_dagster_run(experiment, run_id, tags)
        return run_id

    def _find_or_create(self, experiment: str, tags: dict[str, str]) -> str:
        """This Dagster run's MLflow run; whoever looks for it later finds it by its tags from the first moment."""
        client, experiment_id = self.client(), self.experiment_id(experiment)
        found = client.search_runs([experiment_id], f"tags.{DAGSTER_RUN_ID} = '{self._dagster_run_id}'", max_results=1)
        run = found[0] if found else client.create_run(experiment_id, tags=tags)
        return str(run.info.run_id)

    def _tag_dagster_run(self, experiment: str, run_id: str, tags: Tags) -> None:
        """Let a person find the commit and the MLflow run from Dagster's list of runs."""
        if self._context is not None and self._context.instance is not None:
            named = {"git_sha": tags.git_sha, "branch": tags.branch, f"mlflow{experiment}": run_id}
            self._context.instance.add_run_tags(self._dagster_run_id, named)

    def _end_runs(self, status: str) -> None:
        if self._alive is None:
            return
        client = self.client()
        with ExitStack() as ending:  # does all, the last first, whichever of them fails
            ending.callback(self._open_runs.clear)
            ending.callback(self._let_go)
            for run_id in self._open_runs.values():
                ending.callback(client.set_terminated, run_id, status)

    def _let_go(self) -> None:
        """From here on the runs of this process count as left behind."""
        if self._alive is not None:
            self._alive.close()
            self._alive = None

    def _end_runs_of_the_dead(self, client: mlflow.MlflowClient) -> None:
        """End what a killed process left RUNNING: no process gives a sign for that Dagster run any more."""
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        running = client.search_runs(
            experiments,
            filter_string=f"attributes.status = 'RUNNING' and tags.{HOME_ID} = '{home_id(Path(self.locks))}'",
        )
        for run in running:
            owner = run.data.tags.get(DAGSTER_RUN_ID, "")
            if owner == self._dagster_run_id or goes_on(Path(self.locks), owner):
                continue
            # Its owner may have ended it since the search.
            if client.get_run(run.info.run_id).info.status == "RUNNING":
                client.set_terminated(run.info.run_id, self._end_by_dagsters_account(owner))

    def _end_by_dagsters_account(self, dagster_run_id: str) -> str:
        """The status of a run whose end could not be told to MLflow, as when the server was away just then."""
        instance = self._context.instance if self._context else None
        ended = instance.get_run_by_id(dagster_run_id) if instance and dagster_run_id else None
        return ENDS.get(ended.status, "KILLED") if ended else "KILLED"

    def _artifact_location(self, client: mlflow.MlflowClient, experiment: str) -> str | None:
        """Where a new experiment keeps its files; None where a server decides."""
        if self.artifact_root is not None:
            return Path(self.artifact_root, experiment.strip("/")).as_uri()
        if self.tracking_uri.startswith(("http", "databricks")):
            return None
        try:
            root = artifact_root_of(client, self.tracking_uri)
        except StoreError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        return root and f"{root}/{experiment.strip('/')}"


@contextmanager
def _outside_any_run() -> Iterator[None]:
    """Runs that the caller has open, nested ones too, stay open and are not written to."""
    import mlflow

    innermost_first: list[str] = []
    while (active := mlflow.active_run()) is not None:
        innermost_first.append(active.info.run_id)
        mlflow.end_run("RUNNING")
    try:
        yield
    finally:
        for run_id in reversed(innermost_first):
            _resume(run_id, nested=True)


def _resume(run_id: str, *, nested: bool = False) -> mlflow.ActiveRun:
    """Make a run the active one; MLflow refuses where another run's experiment is the active one."""
    import mlflow

    mlflow.set_experiment(experiment_id=mlflow.get_run(run_id).info.experiment_id)
    return mlflow.start_run(run_id=run_id, nested=nested)


def _earned_status(context: dg.InitResourceContext) -> str:
    """How the Dagster run has gone so far, told by the steps that failed for good."""
    if context.instance is None or context.run is None:
        return "FINISHED"
    failed = context.instance.get_records_for_run(context.run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    if not failed.records:
        return "FINISHED"
    return "KILLED" if any(_was_interrupted(record.event_log_entry) for record in failed.records) else "FAILED"


def _was_interrupted(entry: dg.EventLogEntry) -> bool:
    failure = entry.get_dagster_event().step_failure_data
    error = failure.error
    while error is not None:
        if error.cls_name in INTERRUPTIONS:
            return True
        error = error.cause
    return False
