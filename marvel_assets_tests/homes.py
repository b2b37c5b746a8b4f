"""Homes that are made once a session, for the tests of every worker to copy, and the characters that they read."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets.paths import ProjectPaths
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.mlflow_store import connect, prepare_database
from marvel_assets_tests.graph import run_graph, succeeded
from marvel_assets_tests.kaggle import TEST_HASH_BOUND


@contextmanager
def restored_store() -> Iterator[None]:
    """MLflow sets its store in the environment, where the next test would use it: remove it before and after."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", "")
        environment.delenv("MLFLOW_TRACKING_URI")
        yield


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker to need it makes. Read only."""
    session = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        session = session.parent
    folder, is_made = session / name, session / f"{name}.is_made"
    with FileLock(session / f"{name}.lock"):
        if not is_made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            with restored_store():
                make(folder)
            is_made.touch()
    return folder


def make_empty(folder: Path) -> None:
    """Dagster's instance and MLflow's database: seconds of processor time."""
    home = ProjectPaths(folder)
    home.prepare()
    connect(home.mlflow_uri, home.locks)


def copy_of(template: ProjectPaths, root: Path) -> ProjectPaths:
    """A home with the same contents; absolute paths in it lead into the copy.

    Files of models stay as they are: their digests are stored.
    """
    copy = ProjectPaths(root)
    shutil.copytree(template.root, root, symlinks=True, dirs_exist_ok=True)
    for reference in copy.references.glob("*.json"):
        reference.write_text(reference.read_text().replace(str(template.root), str(root)))
    prepare_database(copy.mlflow_database, copy)
    return copy


def note_provenance(home: ProjectPaths, table: str, **recorded: str) -> None:
    """Leave a table as other code or other inputs would that came to the same rows; names as in the provenance."""
    tables = Tables(warehouse=str(home.warehouse), locks=str(home.locks), provenance=str(home.provenance))
    latest = tables.latest(table)
    assert latest is not None
    kept = {"version": latest.table.version, "content": latest.table.content}
    file = home.provenance / f"{table}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({**kept, "provenance": {**latest.provenance, **recorded}}))


def mislabelled_characters(folder: Path, share: float) -> Path:
    """A CSV file of 4,000 generated characters; this share of the training rows has the other label.

    The more, the worse the model that is fitted on them. The test rows are always the same, so that models can be
    compared.
    """
    characters = generate(4000, 7)
    digests = characters["PageID"].map(lambda name: hashlib.md5(str(name).encode()).hexdigest())
    drawn = np.random.default_rng(7).random(len(characters)) < share
    flipped: pd.Series = characters["Alive"].replace({"Alive": "Dead", "Dead": "Alive"})
    characters["Alive"] = characters["Alive"].mask((digests >= TEST_HASH_BOUND) & drawn, flipped)
    file = folder / f"mislabelled_{share:g}.csv"
    characters.to_csv(file, index=False)
    return file


class Templates:
    """Homes in which the graph has been run, in this process, from one source or several."""

    def __init__(self, factory: pytest.TempPathFactory, empty: ProjectPaths, config: Path) -> None:
        self._factory, self._empty, self._config = factory, empty, config

    def source(self, share: float) -> Path:
        """Characters with this share of wrong labels among the training rows."""
        name = f"mislabelled_{share:g}"
        return made_once(self._factory, name, lambda folder: mislabelled_characters(folder, share)) / f"{name}.csv"

    def after(self, *shares: float) -> ProjectPaths:
        """A home after one run for each of these shares of wrong labels. To be copied."""
        *earlier, last = shares

        def make(folder: Path) -> None:
            home = copy_of(self.after(*earlier) if earlier else self._empty, folder / "home")
            settings = {"HOME": home.root, "CONFIG": self._config, "PROFILE": "embedded", "ENV": "dev"}
            with pytest.MonkeyPatch.context() as environment:
                for name, value in settings.items():
                    environment.setenv(f"MARVEL_{name}", str(value))
                with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
                    succeeded(run_graph(home, self.source(last), instance))

        name = "-".join(["after", *(f"{share:g}" for share in shares)])
        return ProjectPaths(made_once(self._factory, name, make) / "home")
