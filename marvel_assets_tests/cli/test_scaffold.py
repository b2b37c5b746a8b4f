"""Your own table: from a file to a folder, and from the folder to a model that answers."""

import gzip
import random
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from marvel_assets import datasets
from marvel_assets.cli.scaffold import new_dataset
from marvel_assets.cli.summary import summary
from marvel_assets.config import ConfigError
from marvel_assets.datasets.base import load_dataset
from marvel_assets.datasets.statements import cleaning_sql
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.files import FileSource
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets_tests.commands import reference
from marvel_assets_tests.graph import failure_of, run_graph, succeeded

HOSTILE = ["select", "Cell", 'a "quoted": {name}', "from", "Id", "reason"]
CLASSES = ("no, the contract goes on as it did in the year before", "yes, cancelled by a letter within the first year")


def hostile(folder: Path) -> Path:
    """Names that SQL, Delta or LightGBM can't take, semicolons, decimal commas, quotes and backslashes."""
    drawn = random.Random(616)  # noqa: S311
    rows = []
    for row in range(800):
        kind, number = drawn.choice(["x", "y", 'é "q"', "z\\w", "it's"]), drawn.gauss(0, 1)
        is_one = drawn.random() < 0.2 + 0.4 * (kind in "xy") + 0.3 * (number > 0)
        cells = [f"k{row}", kind, f"{number:.3f}".replace(".", ","), drawn.choice(["1", "0", ""]), drawn.choice("ab")]
        rows.append([*cells, CLASSES[is_one]])
    pd.DataFrame(rows, columns=HOSTILE).to_csv(folder / "hostile.csv", index=False, sep=";")
    return folder / "hostile.csv"


def save(folder: Path, columns: dict[str, object], encoding: str = "utf-8") -> Path:
    pd.DataFrame(columns).to_csv(folder / "rows.csv", index=False, encoding=encoding)
    return folder / "rows.csv"


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that data sets are written to, beside the package's own."""
    folder = tmp_path / "datasets"
    folder.mkdir()
    monkeypatch.setattr(datasets, "__path__", [str(folder), *datasets.__path__])
    return folder


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A data set's name for this test alone, since modules are imported once."""
    return f"mine_{abs(hash(request.node.name))}"


def cleaned(file: Path, name: str, scratch: Path) -> pd.DataFrame:
    """The file's rows as a run cleans them."""
    dataset = load_dataset(name)
    with DuckDBEngine(scratch=str(scratch)).session() as session:
        source = FileSource("rows", {file: "rows"}, dataset.source_columns, dataset.encoding)
        session.read_source(source, "raw_characters")
        columns = ["Id", *dataset.by_name, dataset.target.name, "reason"]
        found = session.fetchall(f"SELECT {', '.join(columns)} FROM ({cleaning_sql(dataset)})")
    return pd.DataFrame(found, columns=columns)


@pytest.mark.integration
def test_a_table_of_another_subject_becomes_a_model_that_answers(
    home: ProjectPaths, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    new_dataset(name, file := hostile(tmp_path))
    monkeypatch.setenv("MARVEL_DATASET", name)

    # when
    result = succeeded(run_graph(ProjectPaths(home.root, name), file))

    # then
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks["numbers_are_readable"]
    dataset = load_dataset(name)
    custom = reference(ProjectPaths(home.root, name), "custom_model_version")
    assert custom.name == f"marvel_dev.{name}.marvel_character_model_custom"
    model = mlflow.pyfunc.load_model(f"models:/{custom.name}@latest-model")
    examples = pd.DataFrame({feature.name: list(feature.examples) for feature in dataset.features})
    assert set(model.predict(examples)[dataset.target.answer]) <= set(dataset.target.labels)
    *_, answers, commands = "\n".join(summary(home, with_predictions=True)).partition("  ask next  ")
    assert answers
    assert commands.count(f"`MARVEL_DATASET={name} ") == 3


@pytest.mark.integration
def test_a_rule_that_drops_rows_fails_the_run_before_anything_is_written(
    home: ProjectPaths, parent: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    new_dataset(name, file := hostile(tmp_path))
    rules = parent / name / "cleaning.sql"
    rules.write_text(f"{rules.read_text()}\nWHERE source_row > 10")
    monkeypatch.setenv("MARVEL_DATASET", name)

    # when
    result = run_graph(ProjectPaths(home.root, name), file, select="raw_characters,train_set")

    # then
    message = failure_of(result)
    assert re.search(r"has 800 rows, but .* add up to 790 \(.* cleaning.sql duplicates or drops rows", message)


def test_the_guesses_of_a_hostile_table_are_written_as_ruff_wants_them(parent: Path, name: str, tmp_path: Path):
    # when
    new_dataset(name, hostile(tmp_path))

    # then
    dataset, folder = load_dataset(name), parent / name
    assert list(dataset.source_columns) == HOSTILE
    assert dataset.identifier == "select_"
    assert dataset.numeric_features == ("a_quoted_name", "from_")
    assert (dataset.target.name, dataset.target.labels) == ("reason_", CLASSES)
    assert "replace(a_quoted_name, ',', '.') AS a_quoted_name" in (folder / "cleaning.sql").read_text()
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--config", str(PROJECT_ROOT / "pyproject.toml"), str(folder)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("columns", "identifier"),
    [
        (["amount_paid", "ID_code"], "ID_code"),
        (["row", "Order ID (new)"], "Order_ID_new"),
        (["number", "PageID"], "PageID"),
        (["highest_bid", "order_no"], "highest_bid"),
    ],
)
def test_of_columns_with_a_value_for_each_row_one_with_the_word_id_names_it_else_the_first(
    columns: list[str], identifier: str, name: str, tmp_path: Path
):
    # given
    file = save(tmp_path, {**{column: range(20) for column in columns}, "kind": list("ab") * 10, "y": list("nnyy") * 5})

    # when
    new_dataset(name, file)

    # then
    assert load_dataset(name).identifier == identifier


@pytest.mark.parametrize(
    ("cells", "numbers", "example"),
    [
        (["969", "9,652", "1,000,000", "-1,234.5"], [969.0, 9652.0, 1_000_000.0, -1234.5], -1234.5),
        (["1,850", "0,969", "2,100", "3"], [1.85, 0.969, 2.1, 3.0], 0.969),
        (["1,234", "1,5", "2", "7,25"], [1.234, 1.5, 2.0, 7.25], 1.234),
        (["unknown"] * 4 + [str(number) for number in range(96)], [*range(96)], 0.0),
    ],
    ids=["thousands", "three decimals", "decimals", "a word"],
)
def test_commas_that_can_all_separate_thousands_are_no_decimal_commas(
    cells: list[str], numbers: list[float], example: float, name: str, tmp_path: Path
):
    # given
    rows = len(cells)
    file = save(tmp_path, {"id": range(rows), "x": cells, "y": ["n", "y"] * (rows // 2)})

    # when
    new_dataset(name, file)

    # then
    assert sorted(cleaned(file, name, tmp_path)["x"].dropna()) == sorted(numbers)
    assert load_dataset(name).by_name["x"].examples == (example, None)


def test_a_list_with_commas_is_no_number(name: str, tmp_path: Path):
    # given
    file = save(tmp_path, {"id": range(40), "x": ["1,2,3", "4,5,6", "7", "2024,01,05"] * 10, "y": ["n", "y"] * 20})

    # when
    new_dataset(name, file)

    # then
    assert load_dataset(name).by_name["x"].kind == "text"


def test_a_row_with_booleans_is_the_same_in_csv_and_parquet(name: str, tmp_path: Path):
    # given: True in the CSV file, and a column of booleans in the other
    rows = pd.DataFrame({"id": list("abcd"), "member": [True, False] * 2, "y": list("nnyn")})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    rows.to_parquet(tmp_path / "rows.parquet")

    # when
    new_dataset(name, tmp_path / "rows.csv")

    # then
    read = [cleaned(tmp_path / file, name, tmp_path) for file in ("rows.csv", "rows.parquet")]
    assert sorted(read[0]["member"]) == ["False", "False", "True", "True"]
    pd.testing.assert_frame_equal(*(rows.sort_values("Id", ignore_index=True) for rows in read))


@pytest.mark.parametrize(
    "encode",
    [
        lambda rows: rows.to_csv().encode(),
        lambda rows: rows.to_csv(index=False).replace(",age,", ", age,").encode(),
        lambda rows: b"\n\n" + rows.to_csv(index=False).encode(),
        lambda rows: rows.to_csv(index=False, sep=";").encode("utf-8-sig"),
        lambda rows: gzip.compress(rows.to_csv(index=False).encode()),
        lambda rows: rows.to_parquet(index=False),
    ],
    ids=["an unnamed column", "a blank in a name", "blank lines first", "byte order mark", "gzip", "Parquet"],
)
def test_a_run_can_use_all_rows_of_the_file_that_the_folder_was_written_from(encode, name: str, tmp_path: Path):
    # given: names that differ in case alone, and a target that Parquet stores as double
    rows = pd.DataFrame({"id": [f"r{n}" for n in range(40)], "age": [30, 40] * 20, "AGE": list("xy") * 20})
    (tmp_path / "rows").write_bytes(encode(rows.assign(died=[0.0, 1.0, 0.0, 0.0] * 10)))

    # when
    new_dataset(name, tmp_path / "rows")

    # then
    used = cleaned(tmp_path / "rows", name, tmp_path)
    assert list(used.columns) == ["Id", "age", "AGE_", "died", "reason"]
    assert (len(used), int(used["died"].sum()), set(used["reason"])) == (40, 10, {None})


@pytest.mark.parametrize(
    ("columns", "target", "message"),
    [
        ({"id": [1, 2, 3, 4], "kind": list("abca"), "x": [1, 2, 1, 2]}, "kind", "found 'kind' with 3. Put values"),
        ({"id": [1, 2, 3, 4], "kind": list("abca")}, "species", "there is no column 'species'; it has id, kind"),
        ({"id": [1, 2], "kind": list("ab"), "x": [1, 2]}, "id", "besides the id 'id'; found 'id' with 2."),
        ({"id": [1, 2, 3, 4], "kind": list("abca")}, None, "besides the id 'id'; found 'id' with 4, 'kind' with 3."),
        ({"id": [1, 2, 2, 4], "kind": list("abba")}, None, "'id' has 3 values: --identifier id takes it"),
        ({"id": [1, 2, 3, 4], "kind": list("abba")}, None, "besides 'id' and 'kind' no column is usable"),
        ({"id": [], "kind": [], "x": []}, None, "no rows"),
        ({"": [1]}, None, "the first line must hold the names of the columns"),
    ],
    ids=["three classes", "no target", "the id as target", "no classes", "no id", "no features", "no rows", "no names"],
)
def test_what_a_table_lacks_is_named(columns: dict, target: str | None, message: str, parent: Path, tmp_path: Path):
    with pytest.raises(SourceError, match=re.escape(message)):
        new_dataset("mine", save(tmp_path, columns), target)
    assert not list(parent.iterdir())


@pytest.mark.parametrize("name", ["", "Mine", "my-table", "../mine", "scoring", "marvel_kaggle"])
def test_a_name_that_no_folder_can_have_is_refused(name: str, tmp_path: Path):
    with pytest.raises(ConfigError, match="choose another name"):
        new_dataset(name, tmp_path / "rows.csv")


def test_an_id_is_found_in_any_spelling_and_another_is_taken_where_it_is_asked_for(
    name: str, parent: Path, tmp_path: Path
):
    # given: another column has a different value in each row, too
    columns = {"Name": list("pqrs"), "PageID": list("1234"), "member": list("1224"), "x": list("abab")}
    file = save(tmp_path, columns | {"y": list("nyny")})

    # when
    new_dataset(name, file)
    new_dataset(f"{name}_members", file, "x", "member")

    # then: nothing that was chosen is called a guess
    assert load_dataset(name).identifier == "PageID"
    members = load_dataset(f"{name}_members")
    assert (members.identifier, members.target.name) == ("member", "x")
    assert "guess" not in (parent / f"{name}_members" / "__init__.py").read_text().lower()


def test_a_file_that_is_not_utf8_is_declared_so(name: str, tmp_path: Path):
    # given
    columns = {"id": range(60), "Größe": ["groß", "klein", "mäßig"] * 20, "alive": ["yes", "no"] * 30}
    file = save(tmp_path, columns, "cp1252")

    # when
    new_dataset(name, file)

    # then
    dataset = load_dataset(name)
    assert (dataset.encoding, dataset.by_name["Gr_e"].examples) == ("cp1252", ("groß", "klein"))
    assert set(cleaned(file, name, tmp_path)["Gr_e"]) == {"groß", "klein", "mäßig"}
