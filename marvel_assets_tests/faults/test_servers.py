"""The tracking server or the catalog fails, at every call of a run in turn, in every way that a server can fail.

A run in this process talks to real servers through a proxy that fails the n-th call, or all from the n-th on. When the
server is back, the same run is made again, and must find all that was done.
"""

from dataclasses import dataclass, field

import dagster as dg
import mlflow

from marvel_assets.config import ProjectConfig
from marvel_assets.home import Home
from marvel_assets.resources.mlflow_store import connect
from marvel_assets.resources.profiles import resources_of_the_profile
from marvel_assets.resources.tracking import RECIPE
from marvel_assets_tests.graph import run_graph

SEED = 20_240
SECONDS_IN_ALL = 30
SHORT_TIMEOUT = 3
"""Of MLflow's own setting, so that a server that never answers costs six seconds in most cases here, not twenty."""

PHASES = {
    "look": r"GET /health|experiments/|runs/search|logged-models/search|runs/get$",
    "open run": r"POST .*/runs/(create|log-batch)",
    "log model": r"POST .*/logged-models$|/runs/outputs|/runs/log-(inputs|parameter|metric)|PATCH .*/logged-models/…$",
    "artifacts": r"(PUT|GET) .*/mlflow-artifacts/",
    "tags": r"PATCH .*/logged-models/…/tags|/set-tag",
    "register": r"/(registered-models|model-versions)/(create|update|get|search)",
    "alias": r"/registered-models/alias",
    "end": r"POST .*/runs/update",
}


@dataclass
class Case:
    """A home and a project of their own, on the servers that all cases share."""

    home: Home
    config: ProjectConfig
    seen: list[str] = field(default_factory=list)

    def run(self) -> dg.ExecuteInProcessResult:
        return run_graph(self.home, "generated")

    @property
    def client(self) -> mlflow.MlflowClient:
        tracking = resources_of_the_profile(self.home)["tracking"]
        return connect(tracking.tracking_uri, self.home.locks, tracking.registry_uri)

    def experiments(self) -> list[str]:
        names = (self.config.experiment_name_basic, self.config.experiment_name_custom)
        return [found.experiment_id for name in names if (found := self.client.get_experiment_by_name(name))]

    def fits(self) -> dict[str, int]:
        return {file.name: file.stat().st_mtime_ns for file in self.home.pipelines.glob("*") if file.is_file()}

    def whole_models(self) -> dict[str, str]:
        """The models that were logged whole, by their recipe; two of one recipe are told by a name that is none."""
        models = self.client.search_logged_models(self.experiments())
        whole: dict[str, str] = {}
        for model in models:
            if recipe := model.tags.get(RECIPE):
                whole[f"{recipe} twice" if recipe in whole else recipe] = model.model_id
        return whole

    def versions(self) -> dict[str, list[str]]:
        """The model ids of all versions."""
        catalog, pairs = self._catalog()
        return {name: [v.model_id for v in catalog.versions(name)] for name in (pairs.basic_name, pairs.custom_name)}

    def lost(self, before: "Kept") -> list[str]:
        """What was done before and is not there any more, and what is there twice or half."""
        after, (_, pairs) = Kept.of(self), self._catalog()
        problems = [f"fitted again: {name}" for name in before.fits if after.fits.get(name) != before.fits[name]]
        problems += [
            f"logged again: {model}" for recipe, model in before.models.items() if after.models.get(recipe) != model
        ]
        problems += [f"{len(after.fits)} fits"] * (len(after.fits) != len(self._first().fits))
        problems += [f"{len(after.models)} whole models: {after.models}"] * (len(after.models) != 2)
        problems += [f"{name}: versions of {ids}" for name, ids in after.versions.items() if len(ids) != 1]
        problems += ["aliases"] * (not pairs.is_whole() or pairs.current() is None)
        running = self.client.search_runs(self.experiments(), "attributes.status = 'RUNNING'")
        return problems + [f"running: {run.info.run_id}" for run in running]

    def _first(self) -> "Kept":
        return Kept.of(self)

    def _catalog(self):
        resource = resources_of_the_profile(self.home)["unity_catalog"]
        return resource.catalog(), resource.pairs(self.config)


@dataclass(frozen=True)
class Kept:
    """What a run has done so far, as it is stored."""

    fits: dict[str, int]
    models: dict[str, str]
    versions: dict[str, list[str]]

    @classmethod
    def of(cls, case: Case) -> "Kept":
        return cls(case.fits(), case.whole_models(), case.versions())
