"""The Spark session: started by who asks for it, stopped with the run."""

from contextlib import nullcontext
from pathlib import Path

import dagster as dg
import pytest

from marvel_assets.spark.local import SparkError
from marvel_assets.spark.session import Spark, check_compute
from marvel_assets_tests.servers.scripted import Answer, serving
from marvel_assets_tests.servers.starting import LOOPBACK, listening_addresses


def test_without_java_the_failure_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    # when
    with pytest.raises(dg.Failure) as failure:
        Spark(folder="jars").session()

    # then
    assert failure.value.description.startswith("Spark needs Java 17 or newer and no 'java' is on the PATH")


@pytest.fixture
def spark(spark_folder: Path) -> Spark:
    return Spark(folder=str(spark_folder), settings={"spark.master": "local[1]", "spark.sql.shuffle.partitions": "3"})


@pytest.mark.spark
def test_a_session_counts_on_this_machine_alone_is_one_for_all_assets_of_a_run_and_stopped_afterwards(spark: Spark):
    # given
    seen = []

    @dg.asset
    def asking(spark: Spark) -> None:
        assert spark._session is None
        session = spark.session()
        session.range(10).repartition(2).mapInPandas(lambda frames: frames, "id long").count()
        settings = [session.conf.get(f"spark.sql.{name}") for name in ("session.timeZone", "shuffle.partitions")]
        seen.extend([session, session.range(10).count(), settings, listening_addresses()])

    @dg.asset(deps=[asking])
    def asking_again(spark: Spark) -> None:
        seen.append(spark.session())

    # when
    result = dg.materialize([asking, asking_again], resources={"spark": spark})

    # then
    session, count, settings, addresses, again = seen
    assert result.success
    assert (count, settings) == (10, ["UTC", "3"])
    assert addresses
    assert addresses <= LOOPBACK
    assert again is session
    assert session._jsc.sc().isStopped()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://somewhere:1", "http://somewhere:1 is not an address such as sc://host:port"),
        ("sc://somewhere:port", "sc://somewhere:port is not an address such as sc://host:port"),
        ("sc://127.0.0.1:1/;token=canary", "No Spark Connect server answers at sc://127.0.0.1:1"),
    ],
)
def test_a_server_that_can_not_be_used_is_reported_without_its_token(
    url: str, said: str, monkeypatch: pytest.MonkeyPatch
):
    # given
    monkeypatch.setattr("marvel_assets.spark.session.CONNECT_SECONDS", 1)
    spark = Spark(mode="connect", url=url, folder="jars")

    # when
    with pytest.raises(dg.Failure) as raised:
        spark.session()

    # then
    assert said in raised.value.description
    assert "canary" not in raised.value.description


def test_databricks_without_its_package_is_reported_with_the_command_that_brings_it():
    # given
    [problem] = Spark(mode="databricks", folder="jars").problems()

    # then
    assert problem.startswith("databricks.connect is not installed; install the extra: python3 tools/bootstrap.py data")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "cannot configure default credentials, please check https://docs.databricks.com"),
        (
            {"DATABRICKS_HOST": "{url}", "DATABRICKS_TOKEN": "a token"},
            "No compute on {url} is configured. Set DATABRICKS_CLUSTER_ID to a cluster's id, or DATABRICKS_SERVERLESS",
        ),
        ({"DATABRICKS_HOST": "{url}", "DATABRICKS_TOKEN": "a token", "DATABRICKS_CLUSTER_ID": "0301"}, None),
        ({"DATABRICKS_HOST": "{url}", "DATABRICKS_TOKEN": "t", "DATABRICKS_SERVERLESS_COMPUTE_ID": "auto"}, None),
        ({"SPARK_REMOTE": "sc://127.0.0.1:15002"}, None),
    ],
    ids=["nothing", "no compute", "a cluster", "serverless", "an address"],
)
def test_compute_that_nothing_names_is_missing_before_a_session_is_asked_for(
    settings: dict[str, str], problem: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    # given
    monkeypatch.setenv("HOME", str(tmp_path))  # where a configuration file would be
    with serving(lambda _: Answer(404, {"Content-Length": "0"})) as server:
        for name, value in settings.items():
            monkeypatch.setenv(name, value.format(url=server.url))

        # then
        refusal = nullcontext()
        if problem is not None:
            refusal = pytest.raises((SparkError, ValueError), match=problem.format(url=server.url))
        with refusal:
            check_compute(profile=None)
