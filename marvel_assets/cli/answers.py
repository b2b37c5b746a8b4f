"""``marvel score`` and ``marvel explain``: predictions for your own rows, and why."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet

from marvel_assets.cli.servers import served_pair
from marvel_assets.cli.summary import read_references
from marvel_assets.datasets import scoring
from marvel_assets.datasets.base import Dataset
from marvel_assets.datasets.statements import cleaning_sql
from marvel_assets.defs.resources import profile_resources
from marvel_assets.model.estimators import estimator_class
from marvel_assets.model.wrapper import MarvelModelWrapper, rank_contributions
from marvel_assets.paths import ProjectPaths
from marvel_assets.sources.locate import FileSource
from marvel_assets.storage.engines.base import EngineSession
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets.utils.files import atomic_write
from marvel_assets.utils.redaction import escape_control

STANDARD = "-"
ENDINGS = (".csv", ".parquet")
ANSWERS = ("prediction", "probability", "why")
"""Columns of the output, after name and id; empty if the last column, ``reason``, says why there is no prediction."""
SCHEMA = pa.schema(dict.fromkeys(["name", "id", *ANSWERS, "reason"], pa.string()) | {"probability": pa.float64()})
ROWS_AT_ONCE = 50_000
MAX_LISTED = 10
BAR_LENGTH = 20


def score(home: ProjectPaths, source: str, target: str) -> None:
    """Score the rows of a CSV or Parquet file into another; nothing in the home changes.

    Args:
        home: of the model.
        source: a file with the data set's columns, or ``-`` for standard input.
        target: a file name that ends in ``.csv`` or ``.parquet``, or ``-`` for CSV to standard output.
    """
    if target != STANDARD and Path(target).suffix.lower() not in ENDINGS:
        sys.exit(f"-o {target}: expected a file name that ends in {' or '.join(ENDINGS)}, or - for standard output.")
    if STANDARD not in {source, target} and Path(source).resolve() == Path(target).resolve():
        sys.exit(f"-o {target}: is the file to score; choose another name.")
    resources = profile_resources(home)
    dataset: Dataset = resources["project"].config.dataset
    delivered = scoring.dataset_for_scoring(dataset)
    name, model = _served_model(home, resources)
    with TemporaryDirectory() as scratch, DuckDBEngine(scratch=scratch).session() as session:
        label, path = source, Path(source)
        if source == STANDARD:
            label, path = "standard input", Path(scratch, "input")
            with path.open("wb") as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy)
        session.read_source(FileSource(label, path, delivered), "delivered")
        count = _clean(session, dataset, delivered, "delivered")
        print(f"Scoring {count:,} rows of {label} with {name}", file=sys.stderr)
        asked, rejected = {"probability": True, "explain": estimator_class(model.model).explains}, 0
        with _writer(target) as write:
            for first in range(1, count + 1, ROWS_AT_ONCE):
                rows = _cleaned_rows(session, dataset, first, first + ROWS_AT_ONCE - 1)
                usable = rows[rows["reason"].isna()]
                write(_answered(rows, usable, model.predict(None, usable, asked)))
                rejected += len(rows) - len(usable)
    rest = f", {rejected:,} can't be; the column `reason` says why" if rejected else ""
    print(f"Rows scored: {count - rejected:,}{rest}", file=sys.stderr)


def explain(home: ProjectPaths, name_or_id: str, picture: str | None) -> None:
    """Print the probability for one character of the home, and what each feature contributes to it.

    Args:
        home: of the model and the characters.
        name_or_id: of the character, as in the source.
        picture: a PNG file to write a plot to, or None.
    """
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
            session.create_table_as(scoring.named_rows_sql(dataset, "delivered", name_or_id), "named")
            identifier = _one_id(session, dataset, name_or_id)
            session.create_view(f"SELECT * FROM named WHERE {scoring.has_id(dataset, identifier)}", "wanted")  # noqa: S608
            _clean(session, dataset, dataset, "wanted")
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
    who = escape_control(f"{usable['name'].iloc[0]} ({identifier})")
    print(f"{who}: {answer[dataset.target.answer]}, {probability}; on average {average:.3f}\n")
    print("\n".join(_table(usable.iloc[0].to_dict(), contributions, labels)))
    if picture:
        from marvel_assets.evaluation import plots

        label = f"towards {labels[1]} (+) or away from it (-), log odds"
        figure = plots.bar_plot(f"{who}: {probability}", contributions, label)
        Path(picture).write_bytes(plots.to_png(figure))
        print(f"Wrote {picture}", file=sys.stderr)


def _served_model(home: ProjectPaths, resources: dict[str, Any]) -> tuple[str, MarvelModelWrapper]:
    """The custom version under the alias, by name and loaded."""
    custom = served_pair(home, resources).custom
    with resources["unity_catalog"].files_of(custom) as files:
        model: MarvelModelWrapper = mlflow.pyfunc.load_model(str(files)).unwrap_python_model()
    return f"{custom.name} version {custom.version}", model


def _clean(session: EngineSession, dataset: Dataset, delivered: Dataset, relation: str) -> int:
    """Clean a relation's rows by the data set's rules, whatever their target; returns how many there are."""
    types = [str(row[0]) for row in session.fetchall(f"DESCRIBE {relation}")]
    session.create_view(scoring.rows_to_score_sql(delivered, relation, types, None), "raw_characters")
    session.create_table_as(cleaning_sql(dataset), "cleaned_characters")
    [(count,)] = session.fetchall("SELECT count(*) FROM cleaned_characters")
    return int(str(count))


def _cleaned_rows(session: EngineSession, dataset: Dataset, first: int, last: int) -> pd.DataFrame:
    found = session.fetchall(scoring.cleaned_rows_sql(dataset, first, last))
    return pd.DataFrame(found, columns=["name", "id", *dataset.by_name, "reason"], dtype=object)


def _answered(rows: pd.DataFrame, usable: pd.DataFrame, answers: dict[str, list[Any]]) -> pa.Table:
    """The rows with the model's answers for those that can be scored."""
    answers["prediction"] = next(iter(answers.values()))
    answered = pd.DataFrame(answers, index=usable.index).reindex(columns=list(ANSWERS))
    return pa.Table.from_pandas(rows.join(answered), SCHEMA, preserve_index=False)


@contextmanager
def _writer(target: str) -> Iterator[Callable[[pa.Table], None]]:
    """A function that writes tables of answers; a file is replaced atomically."""
    if target == STANDARD:
        with csv.CSVWriter(sys.stdout.buffer, SCHEMA) as writer:
            yield writer.write_table
        return
    make = csv.CSVWriter if Path(target).suffix.lower() == ".csv" else parquet.ParquetWriter
    with atomic_write(Path(target)) as unfinished, make(unfinished, SCHEMA) as writer:
        yield writer.write_table


def _one_id(session: EngineSession, dataset: Dataset, name_or_id: str) -> str:
    """The id of the named row; the command ends if there is none or more than one."""
    ids = session.fetchall(scoring.ids_sql(dataset, "named"))
    if len(ids) == 1:
        return str(ids[0][0])
    if any(identifier == name_or_id for identifier, _ in ids):
        return name_or_id
    message = f"{len(ids)} rows have the name {name_or_id!r}; choose one by its id:"
    if not ids:
        message = f"No row of this home has the name or id {name_or_id!r}"
        ids = session.fetchall(scoring.ids_sql(dataset, "delivered", name_or_id))
        message += "; similar names:" if ids else ", and none has a similar name."
    listed = [f"  {escape_control(f'{identifier}  ({name})')}" for identifier, name in ids[:MAX_LISTED]]
    more = [f"  and {len(ids) - MAX_LISTED:,} more"] if len(ids) > MAX_LISTED else []
    sys.exit("\n".join([message, *listed, *more]))


def _table(cells: Mapping[Any, Any], contributions: dict[str, float], labels: tuple[str, str]) -> Iterator[str]:
    """A line with a bar for each feature with a contribution, the strongest first."""
    order = rank_contributions(contributions)
    shown = {name: "missing" if cells[name] is None else escape_control(str(cells[name]))[:30] for name in order}
    widths = [max(map(len, column)) for column in (["feature", *order], ["value", *shown.values()], labels)]
    names, values, words = widths
    yield f"  {'feature':<{names}}  {'value':<{values}}  towards  (log odds)"
    for name in order:
        amount = contributions[name]
        bar = "#" * max(1, round(BAR_LENGTH * abs(amount / contributions[order[0]])))
        yield f"  {name:<{names}}  {shown[name]:<{values}}  {labels[amount > 0]:<{words}}  {amount:+.3f} {bar}"
