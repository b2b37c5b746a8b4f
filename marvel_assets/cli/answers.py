"""``marvel score`` and ``marvel explain``: predictions for your own rows, and why."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet

from marvel_assets.cli.servers import served_pair_or_exit
from marvel_assets.cli.summary import aligned, read_references
from marvel_assets.datasets import scoring
from marvel_assets.datasets.base import Dataset
from marvel_assets.datasets.statements import cleaning_sql, text
from marvel_assets.defs.resources import profile_resources
from marvel_assets.model.estimators import estimator_class
from marvel_assets.model.wrapper import MarvelModelWrapper, rank_contributions
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.base import ModelVersion
from marvel_assets.sources.files import FileSource
from marvel_assets.storage.engines.base import EngineSession
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets.utils.files import atomic_write
from marvel_assets.utils.redaction import escape_control

STANDARD = "-"
ANSWERS = ("prediction", "probability", "why")
"""Columns of the output, after name and id; empty if the last column, ``reason``, says why there is no prediction."""
SCHEMA = pa.schema(dict.fromkeys(["name", "id", *ANSWERS, "reason"], pa.string()) | {"probability": pa.float64()})
ROWS_AT_ONCE = 50_000
MAX_LISTED, BAR_LENGTH = 10, 20


def score(home: ProjectPaths, file: str, output: str) -> None:
    """Score the rows of a CSV or Parquet file into another, ``-`` being standard input and output.

    Nothing in the home changes.
    """
    if output != STANDARD and not output.lower().endswith((".csv", ".parquet")):
        sys.exit(f"-o {output}: expected a file name that ends in .csv or .parquet, or - for standard output.")
    if STANDARD not in {file, output} and Path(file).resolve() == Path(output).resolve():
        sys.exit(f"-o {output}: is the file to score; choose another name.")
    resources = profile_resources(home)
    dataset: Dataset = resources["project"].config.dataset
    columns = {dataset.delivered_names[stored]: stored for stored in scoring.required_columns(dataset)}
    custom, model = _served_model(home, resources)
    with TemporaryDirectory() as scratch, DuckDBEngine(scratch=scratch).session() as session:
        label, path = file, Path(file)
        if file == STANDARD:
            label, path = "standard input", Path(scratch, "input")
            with path.open("wb") as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy)
        session.read_source(FileSource(label, {path: label}, columns, dataset.encoding), "delivered")
        _clean(session, dataset, "delivered")
        [(count,)] = session.fetchall("SELECT count(*) FROM delivered")
        print(f"Scoring {count:,} rows of {label} with {custom.name} version {custom.version}", file=sys.stderr)
        params = {"probability": True, "explain": estimator_class(model.model).explains}
        target: AbstractContextManager[Any] = nullcontext(sys.stdout.buffer)
        if output != STANDARD:
            target = atomic_write(Path(output))
        writer_class = parquet.ParquetWriter if output.lower().endswith(".parquet") else csv.CSVWriter
        rejected = 0
        with target as scored, writer_class(scored, SCHEMA) as writer:
            for first in range(1, count + 1, ROWS_AT_ONCE):
                rows = _cleaned_rows(session, dataset, first, first + ROWS_AT_ONCE - 1)
                usable = rows[rows["reason"].isna()]
                answers = model.predict(None, usable, params)
                answers["prediction"] = answers[model.answer]
                answered = pd.DataFrame(answers, index=usable.index).reindex(columns=list(ANSWERS))
                writer.write_table(pa.Table.from_pandas(rows.join(answered), SCHEMA, preserve_index=False))
                rejected += len(rows) - len(usable)
    rest = f", {rejected:,} can't be; the column `reason` says why" if rejected else ""
    print(f"Rows scored: {count - rejected:,}{rest}", file=sys.stderr)


def explain(home: ProjectPaths, name_or_id: str, output: str | None) -> None:
    """Print the probability for one character of the home, and what each feature contributes to it; plot that."""
    resources = profile_resources(home)
    dataset: Dataset = resources["project"].config.dataset
    raw = read_references(home).get("raw_characters")
    if raw is None:
        sys.exit(f"{home.root} has no {dataset.name} rows yet; `make run` reads them.")
    _, model = _served_model(home, resources)
    engine = resources["engine"]
    with TemporaryDirectory() as scratch:
        if isinstance(engine, DuckDBEngine):
            engine = DuckDBEngine(scratch=scratch)  # nothing is written into the home
        with engine.session() as session:
            session.read_table(resources["tables"].location(raw.name), raw.version, "delivered")
            identifier = _one_id(session, dataset, name_or_id)
            chosen = f"SELECT * FROM delivered WHERE {dataset.identifier} = {text(identifier)}"  # noqa: S608
            _clean(session, dataset, f"({chosen}) AS chosen")
            rows = _cleaned_rows(session, dataset, 1, raw.rows)
    usable = rows[rows["reason"].isna()]
    if usable.empty:
        sys.exit(f"{identifier} can't be scored: {rows['reason'].iloc[0]}.")
    try:
        answers = model.predict(None, usable, {"probability": True, "explain": True})
    except ValueError as error:  # this kind of model has no contributions
        sys.exit(str(error))
    answer = {key: values[0] for key, values in answers.items()}
    contributions, labels = answer["contributions"], dataset.target.labels
    probability = f"P({labels[1]}) {answer['probability']:.3f}"
    average = 1 / (1 + math.exp(-answer["base_value"]))
    title = escape_control(f"{usable['name'].iloc[0]} ({identifier})")
    print(f"{title}: {answer[model.answer]}, {probability}; on average {average:.3f}\n")
    print("\n".join(_table(usable.iloc[0].to_dict(), contributions, labels)))
    if output:
        from marvel_assets.evaluation import plots

        label = f"towards {labels[1]} (+) or away from it (-), log odds"
        figure = plots.bar_plot(f"{title}: {probability}", contributions, label)
        Path(output).write_bytes(plots.to_png(figure))
        print(f"Wrote {output}", file=sys.stderr)


def _served_model(home: ProjectPaths, resources: dict[str, Any]) -> tuple[ModelVersion, MarvelModelWrapper]:
    custom = served_pair_or_exit(home, resources).custom
    with resources["unity_catalog"].files_of(custom) as files:
        model: MarvelModelWrapper = mlflow.pyfunc.load_model(str(files)).unwrap_python_model()
    return custom, model


def _clean(session: EngineSession, dataset: Dataset, relation: str) -> None:
    session.create_view(scoring.rows_to_score_sql(dataset, relation), "raw_characters")
    session.create_table_as(cleaning_sql(dataset), "cleaned_characters")


def _cleaned_rows(session: EngineSession, dataset: Dataset, first: int, last: int) -> pd.DataFrame:
    found = session.fetchall(scoring.cleaned_rows_sql(dataset, first, last))
    return pd.DataFrame(found, columns=["name", "id", *dataset.by_name, "reason"], dtype=object)


def _one_id(session: EngineSession, dataset: Dataset, name_or_id: str) -> str:
    """The id of the row with this id, else of the one with this name; the command ends if there is none or several."""
    similar = session.fetchall(scoring.similar_names_sql(dataset, "delivered", name_or_id))
    found = [row for row in similar if row[2]][:1] or [row for row in similar if row[3]]
    if len(found) == 1:
        return str(found[0][0])
    listed = [escape_control(f"{identifier}  ({name})") for identifier, name, *_ in (found or similar)[:MAX_LISTED]]
    advice = "; choose one by its id, such as" if listed else "."
    sys.exit("\n  ".join([f"{len(found) or 'No'} rows have the name or id {name_or_id!r}{advice}", *listed]))


def _table(cells: Mapping[Any, Any], contributions: dict[str, float], labels: tuple[str, str]) -> list[str]:
    strongest, table = max(map(abs, contributions.values())), [["feature", "value", "towards", "(log odds)"]]
    for name in rank_contributions(contributions):
        value = "missing" if cells[name] is None else escape_control(str(cells[name]))[:30]
        amount = contributions[name]
        bar = "#" * max(1, round(BAR_LENGTH * abs(amount / strongest)))
        table.append([name, value, labels[amount > 0], f"{amount:+.3f} {bar}"])
    return [f"  {line}" for line in aligned(table)]
