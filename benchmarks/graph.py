"""Whole runs of the graph, as a user starts them, over the fit and the imports that none of them can do without."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from benchmarks.characters import MILLION, SEED, characters_file
from benchmarks.measuring import Comparison, compare, in_a_child
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.tracking.mlflow_store import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 92_000
MARVEL_RUN = ("-c", "from marvel_assets.cli import main; main()", "run")

BARE_FIT = """
import json, sys, time
started = time.perf_counter()
import dagster, mlflow, lightgbm, numpy
imported = time.perf_counter()
matrix, alive, settings = numpy.load(sys.argv[1]), numpy.load(sys.argv[2]), json.loads(sys.argv[3])
began = time.perf_counter()
lightgbm.LGBMClassifier(**settings).fit(matrix, alive)
print(json.dumps({"seconds": imported - started + time.perf_counter() - began}))
"""
"""Reading the matrix is left out: nobody who has it in memory reads it."""


@contextmanager
def fresh_home(rows: int, trees: int = 1000, seed: int = SEED) -> Iterator[tuple[ProjectPaths, dict[str, str]]]:
    """A home in which Dagster's and MLflow's databases are made and nothing else, and the environment to use it."""
    with tempfile.TemporaryDirectory(prefix="marvel-bench-") as folder:
        home = ProjectPaths(Path(folder, "home"))
        home.prepare()
        connect(home.mlflow_uri, home.locks)
        settings = yaml.safe_load((PROJECT_ROOT / "config" / "project.yml").read_text())
        settings["generator"]["rows"] = rows
        settings["model"]["n_estimators"] = trees
        settings["gate"]["mode"] = "report"  # a model of few trees is scored, too
        config, source = Path(folder, "project.yml"), Path(folder, "characters.csv")
        config.write_text(yaml.safe_dump(settings))
        source.symlink_to(characters_file(rows, seed))
        yield home, {"MARVEL_HOME": str(home.root), "MARVEL_CONFIG": str(config), "MARVEL_SOURCE": str(source)}


def whole_graph() -> Iterator[str]:
    """From a CSV to the custom version and everybody's predictions; then again with nothing changed."""
    anew, again = Comparison(), Comparison()
    with tempfile.TemporaryDirectory() as folder, fresh_home(ROWS) as (home, environment):
        template = Path(folder, "template")
        shutil.copytree(home.root, template)
        in_a_child(MARVEL_RUN, environment)
        matrix = encoded_matrix(home, Path(folder))
        for _ in range(5):
            shutil.rmtree(home.root)
            shutil.copytree(template, home.root)
            anew.floor.append(_bare_fit(matrix))
            anew.ours.append(in_a_child(MARVEL_RUN, environment).seconds)
            again.floor.append(in_a_child(("-c", "import dagster, mlflow"), {}).seconds)
            again.ours.append(in_a_child(MARVEL_RUN, environment).seconds)
    yield anew.row(f"`make run`, {ROWS:,} rows / bare fit + imports of dagster, mlflow, lightgbm", 1.6)
    yield again.row("`make run` with nothing changed / imports of dagster and mlflow", 1.4)


def _bare_fit(matrix: tuple[Path, Path, str]) -> float:
    child = in_a_child(("-c", BARE_FIT, *map(str, matrix)), {})
    return float(json.loads(child.output.strip().splitlines()[-1])["seconds"])


def encoded_matrix(home: ProjectPaths, folder: Path) -> tuple[Path, Path, str]:
    """What the classifier of a home's fitted pipeline was fitted on, and its settings: two files and JSON."""
    import numpy as np

    from benchmarks.tables import rows_of
    from marvel_assets.defs.resources import embedded
    from marvel_assets.model.pipeline import default_threads
    from marvel_assets.storage.references import TableVersion, from_json

    resources = embedded(home)
    config = resources["project"].config
    cache_key = json.loads((home.references / "fitted_pipeline.json").read_text())["cache_key"]
    fitted = resources["pipeline_cache"].find(cache_key)
    train_set = from_json((home.references / "train_set.json").read_text())
    assert isinstance(train_set, TableVersion)  # noqa: S101
    rows = rows_of(resources, train_set)
    prepare, classify = fitted.pipeline[:-1], fitted.pipeline[-1]
    files = folder / "matrix.npy", folder / "alive.npy"
    np.save(files[0], prepare.transform(rows[list(config.features)]).to_numpy(np.float64))
    np.save(files[1], rows[config.target].to_numpy())
    return *files, json.dumps({**classify.get_params(), "n_jobs": default_threads()})


def code_location() -> Iterator[str]:
    """What every code server, run and step pays before anything else."""
    ours = ("-c", "import marvel_assets.definitions")
    floor = ("-c", "import dagster")
    with fresh_home(1000) as (_, environment):
        compared = compare(
            lambda: in_a_child(ours, environment).seconds, lambda: in_a_child(floor, {}).seconds, rounds=9
        )
    yield compared.row("loading the code location / `import dagster`", 1.3)


def peak_memory() -> Iterator[str]:
    """The process of a whole run of a million rows."""
    with fresh_home(MILLION, trees=100) as (_, environment):
        ours = in_a_child(MARVEL_RUN, environment).peak_bytes
    yield Comparison([ours], [1e9]).row(f"peak memory of `make run`, {MILLION:,} rows / 1 GB", 1.0, "MB")


def large_table() -> Iterator[str]:
    """Scoring and the drift report of two million rows, over the fit of the same run."""
    import dagster as dg

    rows = 2 * MILLION
    with fresh_home(rows) as (home, environment):
        in_a_child(MARVEL_RUN, environment)
        with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
            [run] = instance.get_runs()
            steps = {step.step_key: step for step in instance.get_run_step_stats(run.run_id)}
        seconds = {key: (step.end_time or 0.0) - (step.start_time or 0.0) for key, step in steps.items()}
    for asset, work, target in (("survival_predictions", "scoring", 0.1), ("drift_report", "drift report", 0.07)):
        compared = Comparison([seconds[asset]], [seconds["fitted_pipeline"]])
        yield compared.row(f"{work}, {rows:,} rows / fit in the same run", target)
