"""Tables by name: here in the catalog that every Spark session has, on Databricks in Unity Catalog."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marvel_assets.spark.session import Spark
from marvel_assets.storage.engines.spark import SparkEngine
from marvel_assets.storage.references import TableVersion
from marvel_assets.storage.table_scan import TableNotFoundError
from marvel_assets.storage.tables import CatalogTables, Commit

pytestmark = pytest.mark.spark

NAME = "spark_catalog.marvel_characters.numbers"


@pytest.fixture(scope="module")
def spark(spark_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    warehouse = {"spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse"))}
    resource = Spark(folder=str(spark_folder), settings=warehouse)
    session = resource.session()
    session.sql("CREATE SCHEMA spark_catalog.`marvel_characters`")
    yield resource
    session.stop()


@pytest.fixture
def tables(spark: Spark, tmp_path: Path) -> Iterator[CatalogTables]:
    yield CatalogTables(
        spark=spark, warehouse="", locks=str(tmp_path / "locks"), provenance=str(tmp_path / "provenance")
    )
    spark.session().sql(f"DROP TABLE IF EXISTS {NAME}")


def publish(tables: CatalogTables, spark: Spark, numbers: int) -> Commit:
    statement = (
        f"SELECT CAST(id AS STRING) AS Id, id AS number, md5(CAST(id AS STRING)) AS row_digest FROM range({numbers})"
    )
    with SparkEngine(spark=spark).session() as session:
        session.create_table_as(statement, "made")
        return tables.write_if_changed(session, "made", NAME, {"numbers": numbers})


def test_content_is_written_once_and_every_version_is_read_with_what_it_was_made_of(
    tables: CatalogTables, spark: Spark, allow_memory: Callable[..., None]
):
    # given
    assert tables.latest(NAME) is None
    first, again, second = (publish(tables, spark, numbers) for numbers in (12, 12, 1000))

    # then
    assert (first.is_new, again.is_new, second.is_new) == (True, False, True)
    assert again == tables.find([NAME], first.table.content) == first._replace(is_new=False)
    assert tables.latest(NAME).provenance == {"numbers": 1000}
    assert spark.session().table(NAME).count() == 1000

    # and an earlier version is read in the order of the ids
    assert tables.read(first.table, ["Id", "number"])["Id"].to_pylist() == sorted(map(str, range(12)))
    with pytest.raises(TableNotFoundError, match="has no readable version 7"):
        tables.read(TableVersion(NAME, 7, 10, "content"), ["Id"])

    # and a sample is the same rows at every call
    drawn, drawn_again = (tables.read(second.table, ["Id"], sample=0.3)["Id"].to_pylist() for _ in range(2))
    assert drawn == drawn_again
    assert 230 < len(drawn) < 370

    # and where a machine has no memory left, rows are refused before they are fetched
    allow_memory(1000)
    with pytest.raises(MemoryError, match=r"1,000 rows of 1 columns need .* Fit on a sample"):
        tables.read(second.table, ["Id"])


def test_a_table_keeps_its_id_and_its_successor_has_another(tables: CatalogTables, spark: Spark):
    # given
    publish(tables, spark, 10)
    before = tables.table_id(NAME)

    # when
    publish(tables, spark, 20)
    kept = tables.table_id(NAME)
    spark.session().sql(f"DROP TABLE {NAME}")
    gone = tables.table_id(NAME)
    publish(tables, spark, 10)

    # then
    assert (kept, gone) == (before, "")
    assert tables.table_id(NAME) not in {before, ""}


@pytest.mark.parametrize(("name", "said"), [("a.b.c", "`a`.`b`.`c`"), ("a-b.c`d.e", "`a-b`.`c``d`.`e`")])
def test_names_are_quoted(name: str, said: str):
    tables = CatalogTables(spark=Spark(folder=""), warehouse="", locks="", provenance="")
    assert tables.location(name) == said


def test_a_folder_that_another_home_recorded_is_no_table_of_the_catalog(tmp_path: Path):
    # given
    tables = CatalogTables(spark=Spark(folder=""), warehouse="", locks="", provenance="")

    # then: no session is started
    assert tables.latest(str(tmp_path / "warehouse" / "catalog" / "schema" / "table")) is None
