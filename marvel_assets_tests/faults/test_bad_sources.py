"""Whatever is delivered: each row is accepted or rejected with a reason, or the delivery is refused by name."""

from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from marvel_assets.config import Generator
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets.paths import ProjectPaths
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.locate import locate
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets_tests.commands import TABLES, state_of
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.graph import failure_of, run_graph
from marvel_assets_tests.kaggle import SOURCE_COLUMNS, cleaning_sql, digested_source_sql, rejected_sql, split_sql

COLUMNS = list(SOURCE_COLUMNS)
ROWS = generate(1500, 11)[COLUMNS]
HOSTILE = (
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "<script>alert(1)</script>",
    "![x](https://evil.example/p.png)",
    "a | b",
    "`code`",
    "\x1b[31m",
    "\x00",
    "two\nlines",
    'quo"ted',
    "'; DROP TABLE raw_characters; --",
    "{{ 7 * 7 }}",
    "../../etc/passwd",
    "\N{RIGHT-TO-LEFT OVERRIDE}",
    "x" * 300,
)


def hostile(*columns: str) -> pd.DataFrame:
    """A cell of each row that must have no effect, in one column after another."""
    rows = ROWS.astype(object)
    for place, column, cell in zip(rows.index, cycle(columns), cycle(HOSTILE), strict=False):
        rows.loc[place, column] = cell
    return rows


def test_a_delivery_that_is_refused_changes_nothing(
    given_runs: Callable[..., ProjectPaths], small_project: Path, tmp_path: Path
):
    # given
    home = given_runs(0.0)
    before = state_of(home, small_project)
    ROWS.drop(columns="Alive").to_csv(source := tmp_path / "characters.csv", index=False)

    # when
    result = run_graph(home, source)

    # then
    assert f"Error: {source}: column 'Alive' is missing" in failure_of(result)
    assert state_of(home, small_project) == before
    assert not list(home.scratch.glob("*"))


@pytest.mark.parametrize(
    ("rows", "most_rejected"),
    [
        (ROWS.assign(**dict.fromkeys(COLUMNS, "NULL")), len(ROWS)),
        (pd.concat([ROWS, ROWS[:1].assign(PageID="x" * 5_000_000, Teams="x" * 5_000_000)]), 100),
        (hostile(*COLUMNS), 800),
    ],
    ids=["everything missing", "a cell and a key of 5 MB", "hostile texts in each column"],
)
def test_of_a_delivery_that_can_be_read_each_row_is_accepted_or_rejected_with_a_reason(
    tmp_path: Path, rows: pd.DataFrame, most_rejected: int
):
    # given
    rows.to_csv(source := tmp_path / "characters", index=False)

    # when
    read, accepted, reasons = ingested(source, tmp_path)

    # then
    assert (read, accepted + len(reasons)) == (len(rows), len(rows))
    assert all(reasons)
    assert len(reasons) <= most_rejected


def ingested(source: Path, folder: Path) -> tuple[int, int, list[str | None]]:
    """How many rows are read and accepted by the statements that the assets run, and why the others are rejected."""
    with DuckDBEngine(scratch=str(folder / "scratch"), memory_limit="1GB").session() as session:
        session.read_source(locate(str(source), folder, DATASET, Generator()), "delivered")
        session.create_view(digested_source_sql("delivered"), "raw_characters")
        session.create_table_as(cleaning_sql(), "cleaned_characters")
        session.create_table_as(rejected_sql(), "rejected")
        for split in ("train", "test"):
            session.create_table_as(split_sql(split), split)
        [(read,)] = session.fetchall("SELECT count(DISTINCT source_row) FROM raw_characters")
        [(accepted,)] = session.fetchall("SELECT count(DISTINCT Id) FROM (FROM train UNION ALL FROM test)")
        return read, accepted, [reason for (reason,) in session.fetchall("SELECT reason FROM rejected")]


def test_hostile_texts_stay_inert_in_everything_that_a_run_shows(
    home: ProjectPaths, small_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: each is a slice, all slices are too weak, and the branch is named as badly
    content = yaml.safe_load(small_project.read_text())
    content["gate"] = {"mode": "report", "min_slice_rows": 5, "minimum_slice_roc_auc": 1.0}
    (tmp_path / "project.yml").write_text(yaml.safe_dump(content))
    monkeypatch.setenv("MARVEL_CONFIG", str(tmp_path / "project.yml"))
    monkeypatch.setenv("MARVEL_GIT_BRANCH", "<script>alert('branch')</script>")
    hostile("Universe").to_csv(source := tmp_path / "characters.csv", index=False)

    # when
    result = run_graph(home, source)

    # then
    assert result.success
    shown = list(texts_shown(result))
    assert any("Universe" in text and "&#60;script&#62;" in text for text in shown)
    assert any("where Universe is " in text for text in shown)
    raw = ("<script", "![x]", "`code`", "\x1b", "\x00", "https://evil")
    assert [text for text in shown if any(cell in text for cell in raw)] == []
    rows = state_of(home, small_project).table_rows
    assert rows["raw_characters"] == sum(rows[name] for name in TABLES[1:])


def texts_shown(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    """Every text and Markdown of the run's events that a page shows."""
    for event in result.all_events:
        yield event.message or ""
        data = event.event_specific_data
        logged = getattr(data, "materialization", None) or getattr(data, "asset_observation", None) or data
        yield str(getattr(logged, "description", "") or "")
        for value in (getattr(logged, "metadata", None) or {}).values():
            if isinstance(shown := getattr(value, "value", None), str) and not shown.startswith("!["):
                yield shown


HEADER = ",".join(COLUMNS).encode() + b"\n"
LINE = b",".join([b"x"] * len(COLUMNS)) + b"\n"
PIECES = st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([LINE, b'"', b",", b"\n", b"\r", b"\x00"])))


@settings(max_examples=amount(30, 5_000), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([b"", HEADER, b"PAR1", b"\xef\xbb\xbf" + HEADER]), PIECES)
@example(HEADER, [LINE, b'"', LINE])
@example(HEADER, [b'"\n', LINE])
def test_any_bytes_are_read_whole_or_refused_by_name(tmp_path: Path, begin: bytes, rest: list[bytes]):
    # given
    source = tmp_path / "bytes"
    source.write_bytes(begin + b"".join(rest))

    # when
    try:
        read, accepted, reasons = ingested(source, tmp_path)

    # then
    except SourceError as error:
        assert str(error).startswith(f"{source}: ")  # noqa: PT017
        assert str(error).isprintable()  # noqa: PT017
    else:
        assert accepted + len(reasons) == read
        assert all(reasons)
