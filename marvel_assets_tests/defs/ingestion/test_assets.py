"""Tables that came out equal: what was made once is not made again."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.graph import failure_of, metadata_of, run_graph, work_of

pytestmark = pytest.mark.integration

TABLES = ("raw_characters", "train_set", "test_set", "rejected_characters")


def ingest(home: ProjectPaths, source: pd.DataFrame) -> tuple[list[str], dict[str, object]]:
    """What a run says that it did with these rows, and which version each table has after it."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = run_graph(home, save(home.root.parent, source), instance, select=",".join(TABLES))
        versions = {name: metadata_of(result, name)["delta_version"] for name in TABLES}
        return work_of(result, instance), versions


def rows(number: int) -> pd.DataFrame:
    return generate(number, 7)


def save(folder: Path, source: pd.DataFrame) -> Path:
    source.to_csv(folder / "characters.csv", index=False)
    return folder / "characters.csv"


def test_pages_show_some_rows_of_each_table_the_share_alive_and_why_rows_were_rejected(home: ProjectPaths):
    for _ in ("written", "unchanged"):
        # when
        result = run_graph(home, select=",".join(TABLES))

        # then
        shown = {name: metadata_of(result, name) for name in TABLES}
        assert {str(metadata["preview"]).count("\n") for metadata in shown.values()} == {6}
        assert 0.6 < float(str(shown["train_set"]["share_alive"])) < 0.9
        header, _, commonest, *_ = str(shown["rejected_characters"]["reasons"]).splitlines()
        assert header == "| reason | rows |"
        assert int(commonest.split(" | ")[-1].rstrip(" |")) > 0


def in_another_order(_: ProjectPaths) -> pd.DataFrame:
    return rows(300).sample(frac=1, random_state=1)


def with_more_that_are_accepted(home: ProjectPaths) -> pd.DataFrame:
    [rejected] = (home.warehouse / "marvel_dev/marvel_characters/rejected_characters").glob("*.parquet")
    usable = rows(300)[~rows(300)["PageID"].isin(pd.read_parquet(rejected)["PageID"])].dropna(subset="PageID")
    return pd.concat([rows(300), usable.assign(PageID="more-" + usable["PageID"])])


@pytest.mark.parametrize(
    ("changed", "work", "new_versions"),
    [(in_another_order, ["Reading"], set()), (with_more_that_are_accepted, ["Reading", "Cleaning"], set(TABLES[:3]))],
)
def test_only_tables_whose_rows_have_changed_get_a_version_and_the_next_run_has_nothing_to_do(
    home: ProjectPaths, changed: Callable[[ProjectPaths], pd.DataFrame], work: list[str], new_versions: set[str]
):
    # given
    ingest(home, rows(300))
    source = changed(home)

    # when
    second, third = ingest(home, source), ingest(home, source)

    # then
    assert [message.split()[0] for message in second[0]] == work
    assert second[1] == {name: int(name in new_versions) for name in TABLES}
    assert third == ([], second[1])


def test_where_all_rows_are_rejected_the_error_names_the_commonest_reasons_in_every_run(
    home: ProjectPaths, tmp_path: Path
):
    # given
    fates = ["Deceased Characters"] * 60 + ["Living Characters"] * 139 + ["?"]
    source = save(tmp_path, rows(200).assign(**{"Identity": "", "Marital Status": "", "Alive": fates}))

    # when
    messages = [failure_of(run_graph(home, source, select=",".join(TABLES))) for _ in range(2)]

    # then
    assert messages[0] == messages[1]
    assert "All 200 rows of marvel_dev.marvel_characters.raw_characters@v0 were rejected" in messages[0]
    assert '139 rows: Alive is "Living Characters", expected Alive or Dead; 60 rows: Alive is "Deceased' in messages[0]


def test_numbers_that_count_as_missing_are_a_warning_with_an_example(home: ProjectPaths, tmp_path: Path):
    # given: decimal commas and units in most cells of one column, in few of the other
    heights = ["1,85", "1.9 m", " 1.70\u00a0", "2,01"] * 25 + [""] * 100
    weights = ["90.5", "80", "70", "90,5"] * 50
    source = save(tmp_path, rows(200).assign(**{"Height (m)": heights, "Weight (kg)": weights}))

    # when
    result = run_graph(home, source, select="raw_characters")

    # then
    assert result.success
    [check] = [each for each in result.get_asset_check_evaluations() if each.check_name == "numbers_are_readable"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == (
        "Height (m): 75 of the 100 non-empty cells are not plain decimal numbers and count as missing, such as "
        "'1,85'; expected a form such as 1.85"
    )
