"""Whatever is delivered: each row is accepted or rejected with a reason, or the delivery is refused by name."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from marvel_assets.config import Generator
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.paths import ProjectPaths
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.locate import locate
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets_tests.commands import TABLES, State, state_of
from marvel_assets_tests.faults.deliveries import ACCEPTED, COLUMNS, HOSTILE, ROWS, as_csv, soiled
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.graph import failure_of, run_graph
from marvel_assets_tests.homes import Templates, copy_of
from marvel_assets_tests.kaggle import SOURCE_COLUMNS, cleaning_sql, digested_source_sql, rejected_sql, split_sql


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, small_project: Path, templates: Templates
) -> Iterator[tuple[ProjectPaths, Path]]:
    """A home with a model under the alias, and a file for what is delivered next."""
    folder = tmp_path_factory.mktemp("bad-sources")
    home = copy_of(templates.after(0.0), folder / "home")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MARVEL_HOME", str(home.root))
        environment.setenv("MARVEL_CONFIG", str(small_project))
        environment.setenv("DAGSTER_HOME", str(home.dagster))
        yield home, folder / "characters.csv"


def counts_of(state: State) -> dict[str, int]:
    return {name: state.table_rows[name] for name in TABLES}


@pytest.mark.parametrize(
    ("rows", "problem"),
    [(ROWS.drop(columns="Alive"), "column 'Alive' is missing"), (ROWS[:0], "the file has columns and no rows")],
    ids=["a missing column", "no rows"],
)
def test_a_delivery_that_is_refused_changes_nothing(
    served: tuple[ProjectPaths, Path], small_project: Path, rows: pd.DataFrame, problem: str
):
    # given
    home, source = served
    before = state_of(home, small_project)
    source.write_bytes(as_csv(rows))

    # when
    result = run_graph(home, source)

    # then
    assert f"Error: {source}: {problem}" in failure_of(result)
    after = state_of(home, small_project)
    lost = sum(after.table_rows[table] != before.table_rows[table] for table in TABLES)
    assert lost == 0
    assert after == before
    assert not list(home.scratch.glob("*"))


@pytest.mark.parametrize("name", ACCEPTED)
def test_of_a_delivery_that_can_be_read_each_row_is_accepted_or_rejected_with_a_reason(tmp_path: Path, name: str):
    # given
    make, is_right = ACCEPTED[name]
    source = tmp_path / "characters"
    source.write_bytes(as_csv(make()))

    # when
    found = ingested(source, tmp_path)

    # then
    assert found["lost"] == 0
    assert found["without a reason"] == 0
    assert is_right(found["rejected"])


def ingested(source: Path, folder: Path) -> dict[str, int]:
    """What becomes of the rows, by the statements that the assets run."""
    with DuckDBEngine(scratch=str(folder / "scratch"), memory_limit="1GB").session() as session:
        session.read_source(locate(str(source), folder, DATASET, Generator()), "delivered")
        session.create_view(digested_source_sql("delivered"), "raw_characters")
        session.create_table_as(cleaning_sql(), "cleaned_characters")
        session.create_table_as(
            f"{split_sql('train')} UNION ALL {split_sql('test')}".replace("ORDER BY Id", ""), "accepted"
        )
        session.create_table_as(rejected_sql(), "rejected")
        [(read, distinct)] = session.fetchall("SELECT count(*), count(DISTINCT source_row) FROM raw_characters")
        [(accepted, ids)] = session.fetchall("SELECT count(*), count(DISTINCT Id) FROM accepted")
        [(refused, unexplained)] = session.fetchall("SELECT count(*), count(*) FILTER (reason IS NULL) FROM rejected")
    assert read == distinct
    assert accepted == ids
    return {"read": read, "rejected": refused, "lost": abs(read - accepted - refused), "without a reason": unexplained}


@pytest.mark.parametrize("name", ["only the living", "everything missing"])
def test_rows_that_no_model_can_be_made_of_leave_the_served_model_where_it_is(
    served: tuple[ProjectPaths, Path], small_project: Path, name: str
):
    # given
    home, source = served
    before = state_of(home, small_project)
    source.write_bytes(as_csv(ACCEPTED[name][0]()))

    # when
    result = run_graph(home, source)

    # then: the tables tell what was delivered, whole, and the model stays
    after = state_of(home, small_project)
    rows = counts_of(after)
    lost = abs(rows["raw_characters"] - rows["train_set"] - rows["test_set"] - rows["rejected_characters"])
    assert lost == 0
    assert (after.versions, after.aliases) == (before.versions, before.aliases)
    assert set(after.mlflow_runs.values()) <= {"FINISHED", "FAILED"}
    if not result.success:
        assert re.search("train_set|test_set|rows", failure_of(result))


def test_hostile_texts_stay_inert_in_everything_that_a_run_shows(
    home: ProjectPaths, small_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: each is a slice, all slices are too weak, and the branch is named as badly
    content = yaml.safe_load(small_project.read_text())
    content["gate"] = {"mode": "report", "min_slice_rows": 5, "minimum_slice_roc_auc": 1.0}
    (tmp_path / "project.yml").write_text(yaml.safe_dump(content))
    monkeypatch.setenv("MARVEL_CONFIG", str(tmp_path / "project.yml"))
    monkeypatch.setenv("MARVEL_GIT_BRANCH", "<script>alert('branch')</script>")
    source = tmp_path / "characters.csv"
    source.write_bytes(as_csv(soiled("Universe")))

    # when
    result = run_graph(home, source)

    # then
    assert result.success
    shown = list(texts_shown(result))
    assert any("Universe" in text and "&#60;script&#62;" in text for text in shown)
    assert any("where Universe is " in text for text in shown)
    lost = sum(raw in text for text in shown for raw in ("<script", "![x]", "`code`", "\x1b", "\x00", "https://evil"))
    assert lost == 0
    counts = counts_of(state_of(home, small_project))
    assert counts["raw_characters"] == sum(counts[name] for name in TABLES[1:])


def texts_shown(result: object) -> Iterator[str]:
    """Every text and Markdown of the run's events that a page shows."""
    for event in result.all_events:  # type: ignore[attr-defined]
        yield event.message or ""
        data = event.event_specific_data
        told = getattr(data, "materialization", None) or getattr(data, "asset_observation", None) or data
        yield str(getattr(told, "description", "") or "")
        for value in (getattr(told, "metadata", None) or {}).values():
            if isinstance(shown := getattr(value, "value", None), str) and not shown.startswith("!["):
                yield shown


cells = st.one_of(
    st.sampled_from(["", "NULL", "Alive", "Dead", "Public", "Male", "Single", "1.85", "x", "y", *HOSTILE]),
    st.text(max_size=8),
)
tables = st.lists(st.lists(cells, min_size=len(COLUMNS), max_size=len(COLUMNS)), min_size=1, max_size=8)


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def test_of_any_table_no_row_is_lost(tmp_path: Path):
    tried, lost = [], []

    @settings(max_examples=amount(15, 2_000), deadline=None, suppress_health_check=list(HealthCheck))
    @given(tables)
    def any_table(rows: list[list[str]]) -> None:
        # given
        lines = [COLUMNS, *rows]
        source = tmp_path / "table.csv"
        text = "".join(",".join(map(quoted, line)) + "\n" for line in lines)
        source.write_bytes(text.encode("utf-8", "replace"))

        # when
        found = ingested(source, tmp_path)

        # then
        tried.append(source)
        lost.append(found["lost"] + abs(found["read"] - len(rows)) + found["without a reason"])
        assert lost[-1] == 0

    any_table()


def test_any_bytes_are_read_whole_or_refused_by_name(tmp_path: Path):
    tried, lost = [], []
    header = ",".join(SOURCE_COLUMNS).encode() + b"\n"
    line = b",".join([b"x"] * len(SOURCE_COLUMNS)) + b"\n"
    pieces = st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([line, b'"', b",", b"\n", b"\r", b"\x00"])))

    @settings(max_examples=amount(30, 5_000), deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from([b"", header, b"PAR1", b"\xef\xbb\xbf" + header]), pieces)
    @example(header, [line, b'"', line])
    @example(header, [b'"\n', line])
    def any_bytes(begin: bytes, rest: list[bytes]) -> None:
        # given
        source = tmp_path / "bytes"
        source.write_bytes(begin + b"".join(rest))

        # when
        tried.append(source)
        try:
            found = ingested(source, tmp_path)
        except SourceError as error:
            assert str(error).startswith(f"{source}: ")  # noqa: PT017
            assert str(error).isprintable()  # noqa: PT017
            return

        # then
        lost.append(found["lost"] + found["without a reason"])
        assert lost[-1] == 0

    any_bytes()
