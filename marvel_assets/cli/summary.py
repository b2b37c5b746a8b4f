"""What a person wants to know after a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marvel_assets.datasets.base import IDENTIFIER
from marvel_assets.defs.registration.challenger import RESULT
from marvel_assets.defs.resources import profile_resources
from marvel_assets.evaluation.gate import GateResult
from marvel_assets.evaluation.metrics import labelled
from marvel_assets.registry.model_pairs import ALIAS
from marvel_assets.storage.references import LoggedModelRef, ModelVersionRef, Reference, TableVersion, from_json
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets.utils.files import list_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from marvel_assets.datasets.base import Target
    from marvel_assets.paths import ProjectPaths
    from marvel_assets.storage.tables import Tables

METRICS_PER_LINE = 3
PREDICTIONS_PER_ANSWER = 3
ROWS_TO_CHOOSE_FROM = 1_000


@dataclass(frozen=True)
class Materialised:
    """The references that the assets have handed on so far."""

    references: dict[str, Any]

    @classmethod
    def read(cls, home: ProjectPaths) -> Materialised:
        """Read them from the home; an asset that was never materialised has none."""
        files = list_files(home.references, "*.json")
        return cls({file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files})

    def table(self, asset: str) -> TableVersion | None:
        """The table version of an asset."""
        reference = self._reference(asset)
        return reference if isinstance(reference, TableVersion) else None

    def model(self, asset: str) -> LoggedModelRef | None:
        """The logged model of an asset."""
        reference = self._reference(asset)
        return reference if isinstance(reference, LoggedModelRef) else None

    def version(self, asset: str) -> ModelVersionRef | None:
        """The model version of an asset."""
        reference = self._reference(asset)
        return reference if isinstance(reference, ModelVersionRef) else None

    def _reference(self, asset: str) -> Reference | None:
        return from_json(json.dumps(self.references[asset])) if asset in self.references else None


def summary(home: ProjectPaths, *, ask_the_model: bool) -> Iterator[str]:
    """The lines of the summary: rows, Delta versions, metrics, models.

    Args:
        home: the home to summarise.
        ask_the_model: whether the custom model is loaded, and asked for a few characters of the test set.
    """
    done = Materialised.read(home)
    if not done.references:
        yield f"  nothing      has been materialised in {home.root} yet; `make run` does"
        return
    resources = profile_resources(home)
    tracking = resources["tracking"]
    stores = (tracking.tracking_uri, home.locks, tracking.registry_uri)
    yield from _rows(done)
    if model := done.model("basic_model"):
        logged = connect(*stores, read_only=True).get_logged_model(model.model_id)
        figures = {metric.key: metric.value for metric in logged.metrics or []}
        yield f"  model        {model.model_id}, logged by run {model.run_id}"
        named = [f"{label} {value:.4f}" for label, value in labelled(figures).items()]
        for start in range(0, len(named), METRICS_PER_LINE):
            yield f"  {'' if start else 'metrics':<12} {', '.join(named[start : start + METRICS_PER_LINE])}"
        yield from _gate(logged.tags, done.version("basic_model_version"), model)
    served = resources["unity_catalog"].pairs(resources["project"].config).current()
    if served is not None:
        for kind, version in (("basic", served.basic), ("custom", served.custom)):
            yield f"  {kind:<12} {version.name} version {version.version}, alias {ALIAS}"
    waiting = done.version("basic_model_version")
    if waiting is not None and (served is None or waiting.version > served.basic.version):
        yield f"  waiting      {waiting.name} version {waiting.version}, for the job approve"
    test_set = done.table("test_set")
    if ask_the_model and test_set and served:
        with resources["unity_catalog"].files_of(served.custom) as files:
            yield from _predictions(resources["tables"], test_set, files, resources["project"].config.dataset.target)


def _gate(tags: Mapping[str, str], registered: ModelVersionRef | None, model: LoggedModelRef) -> Iterator[str]:
    """What the gate had to say of the model, where it refused it or warned."""
    if RESULT not in tags:
        return
    result = GateResult.from_json(tags[RESULT])
    if registered is None or registered.model_id != model.model_id:
        yield f"  refused      {result.reason}"
    elif result.warnings:
        yield f"  warning      {'; '.join(result.warnings)}"


def _rows(done: Materialised) -> Iterator[str]:
    raw, train, test = (done.table(asset) for asset in ("raw_characters", "train_set", "test_set"))
    rejected = done.table("rejected_characters")
    if raw:
        yield f"  read         {raw.rows:>7,}  {raw}"
    if train and test:
        yield f"  accepted     {train.rows + test.rows:>7,}  {train} ({train.rows:,}), {test} ({test.rows:,})"
    if rejected:
        yield f"  rejected     {rejected.rows:>7,}  {rejected}"


def _predictions(tables: Tables, test_set: TableVersion, model_files: Path, target: Target) -> Iterator[str]:
    """A table of a few test characters, with some of each answer that the model gives."""
    import mlflow

    rows = tables.read(test_set, sample=min(1.0, ROWS_TO_CHOOSE_FROM / max(test_set.rows, 1))).to_pandas()
    model = mlflow.pyfunc.load_model(str(model_files)).unwrap_python_model()
    answer = model.predict(None, rows, {"probability": True})
    rows = rows.assign(predicted=answer[target.answer], probability=answer["probability"])
    shown = rows.groupby("predicted").head(PREDICTIONS_PER_ANSWER)
    width = max(len("character"), *shown[IDENTIFIER].str.len())
    yield f"  it answers   {'character':<{width}}  predicted  P({target.labels[1]})  actual"
    for row in shown.itertuples():
        actual = target.labels[getattr(row, target.name)]
        asked = f"{getattr(row, IDENTIFIER):<{width}}  {row.predicted:<9}  {row.probability:<8.3f}"
        yield f"{'':<15}{asked}  {actual}"
