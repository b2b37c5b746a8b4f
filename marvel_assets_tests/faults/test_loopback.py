"""What the project's commands start is reached from this machine alone."""

from collections.abc import Callable

import pytest

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.faults.conftest import INPUTS
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.servers.spark_connect import spark_connect_server
from marvel_assets_tests.sockets import LOOPBACK, listening

Record = Callable[[str, object], None]


@pytest.mark.spark
@pytest.mark.skipif(amount(1, 0), reason="FAULTS=all: spark/test_local.py shows its settings")
def test_a_spark_connect_server(spark_home: ProjectPaths, record_property: Record):
    # when
    with spark_connect_server(spark_home):
        found = listening()

    # then
    assert found
    assert found <= LOOPBACK
    record_property(INPUTS, 1)
