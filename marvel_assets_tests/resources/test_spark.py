"""The Spark session: started by who asks for it, stopped with the run."""

from pathlib import Path

import dagster as dg
import pytest

from marvel_assets.resources.spark import Spark
from marvel_assets_tests.commands import python, succeeded

WITHOUT_JAVA = """
import dagster as dg
from marvel_assets.resources.spark import Spark
try:
    Spark().session()
except dg.Failure as failure:
    print(failure.description)
"""


def test_without_java_the_failure_tells_what_to_install(tmp_path: Path):
    # when
    told = succeeded(python("-c", WITHOUT_JAVA, PATH=str(tmp_path), JAVA_HOME="")).stdout

    # then
    assert told.startswith("Spark needs Java 17 or newer and no 'java' is on the PATH")


def test_a_run_that_never_asks_for_the_session_imports_no_spark():
    # given
    program = (
        "import sys, dagster as dg; from marvel_assets.resources.spark import Spark\n"
        "@dg.asset\n"
        "def idle(spark: Spark): pass\n"
        "dg.materialize([idle], resources={'spark': Spark()})\n"
        "print('pyspark' in sys.modules)"
    )

    # then
    assert succeeded(python("-c", program)).stdout.strip() == "False"


@pytest.mark.spark
def test_a_session_counts_and_is_one_for_all_assets_of_a_run_and_stopped_afterwards():
    # given
    seen = []

    @dg.asset
    def asking(spark: Spark) -> None:
        assert spark._session is None
        seen.append(spark.session())
        seen.append(spark.session().range(10).count())
        seen.append(spark.session().conf.get("spark.sql.session.timeZone"))

    @dg.asset(deps=[asking])
    def asking_again(spark: Spark) -> None:
        seen.append(spark.session())

    # when
    result = dg.materialize([asking, asking_again], resources={"spark": Spark(master="local[1]")})

    # then
    session, count, zone, again = seen
    assert result.success
    assert (count, zone) == (10, "UTC")
    assert again is session
    assert session._jsc.sc().isStopped()


@pytest.mark.spark
def test_a_session_is_stopped_where_an_asset_fails():
    # given
    started = []

    @dg.asset
    def failing(spark: Spark) -> None:
        started.append(spark.session())
        raise ValueError("broken on purpose")

    # when
    result = dg.materialize([failing], resources={"spark": Spark(master="local[1]")}, raise_on_error=False)

    # then
    assert not result.success
    assert started[0]._jsc.sc().isStopped()
