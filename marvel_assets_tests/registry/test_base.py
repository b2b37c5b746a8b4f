"""What needs no registry: names, and waiting for a version."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from marvel_assets.registry.base import (
    CatalogError,
    CatalogVersion,
    ModelCatalog,
    check_three_levels,
    ready,
)
from marvel_assets.registry.embedded import EmbeddedCatalog
from marvel_assets.registry.unity_catalog import OpenSourceCatalog

VERSION = CatalogVersion("a.b.c", 1, "m-1", "run", "READY", {})
PENDING = replace(VERSION, status="PENDING_REGISTRATION")


@pytest.mark.parametrize("name", ["model", "schema.model", "a.b.c.d", "a..c", ".b.c", "a.b.", "", "a.b.c'd"])
def test_a_name_without_three_levels_is_refused(name: str):
    with pytest.raises(CatalogError, match=r"is no catalog.schema.model; name all three levels"):
        check_three_levels(name)


def test_a_name_with_three_levels_is_handed_on():
    assert check_three_levels("a.b.c") == "a.b.c"


@pytest.mark.parametrize("kind", ["embedded", "oss"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda catalog: catalog.register("schema.model", "m-0000", {}, ""),
        lambda catalog: catalog.versions("schema.model"),
        lambda catalog: catalog.versions_tagged("schema.model", "key", "value"),
        lambda catalog: catalog.version_under("schema.model", "alias"),
        lambda catalog: catalog.set_alias("schema.model", "alias", 1),
        lambda catalog: catalog.delete_alias("schema.model", "alias"),
        lambda catalog: catalog.wait_until_ready("schema.model", 1, 0),
    ],
    ids=["register", "versions", "versions_tagged", "version_under", "set_alias", "delete_alias", "wait_until_ready"],
)
def test_such_a_name_is_refused_before_any_server_is_asked(
    tmp_path: Path, kind: str, ask: Callable[[ModelCatalog], object]
):
    # given: nothing listens
    client = mlflow.MlflowClient("http://127.0.0.1:1", "http://127.0.0.1:1")
    catalog = (
        EmbeddedCatalog(client, tmp_path)
        if kind == "embedded"
        else OpenSourceCatalog(client, tmp_path, "http://127.0.0.1:1", None, "first")
    )

    # then
    with pytest.raises(CatalogError, match=r"'schema\.model' is no catalog\.schema\.model"):
        ask(catalog)


def test_waiting_ends_when_the_version_is_ready():
    # given
    looks = iter([PENDING, PENDING, VERSION])

    # then
    assert ready(lambda: next(looks), seconds=120) == VERSION


def test_a_version_that_is_not_ready_in_time_is_told_with_its_status():
    with pytest.raises(CatalogError, match=r"a.b.c version 1 is PENDING_REGISTRATION after 0 s, expected READY"):
        ready(lambda: PENDING, seconds=0)
