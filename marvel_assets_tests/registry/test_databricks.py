"""What is special to Databricks: privileges, searches without tags, two machines, and a workspace that fails."""

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from marvel_assets.registry.base import CatalogError
from marvel_assets.registry.databricks import DatabricksCatalog
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.registry.test_contract import (  # noqa: F401 - a fixture
    CATALOG,
    NAME,
    Logged,
    log_in,
    register,
    workspace_with_models,
)
from marvel_assets_tests.servers.databricks import DatabricksWorkspace, Registry

SCHEMA = f"{CATALOG}.tests"


@pytest.fixture
def workspace(
    workspace_with_models: tuple[DatabricksWorkspace, list[Logged]],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> DatabricksWorkspace:
    """The tests' workspace, with a catalog and a schema."""
    made, _ = workspace_with_models
    log_in(monkeypatch, made)
    made.registry = Registry()
    made.registry.catalogs.add(CATALOG)
    made.registry.schemas.add(SCHEMA)
    return made


@pytest.fixture
def machine(workspace: DatabricksWorkspace, tmp_path: Path) -> Callable[[str], DatabricksCatalog]:  # noqa: ARG001
    client = connect("databricks", tmp_path / "locks", "databricks-uc")
    return lambda name: DatabricksCatalog(client, tmp_path / name, "databricks-uc")


@pytest.fixture
def models(workspace_with_models: tuple[DatabricksWorkspace, list[Logged]]) -> list[Logged]:  # noqa: F811
    return workspace_with_models[1]


@pytest.mark.parametrize(
    ("privilege", "said"),
    [
        ("USE_CATALOG", f"refuses the catalog {CATALOG}: .*Grant USE CATALOG on it"),
        ("USE_SCHEMA", f"refuses the schema {SCHEMA}: .*Grant USE SCHEMA on it"),
        ("CREATE_SCHEMA", f"refuses to create the schema {SCHEMA}: .*Grant CREATE SCHEMA on {CATALOG}"),
    ],
)
def test_a_privilege_that_is_refused_is_named(
    workspace: DatabricksWorkspace, machine: Callable[[str], DatabricksCatalog], privilege: str, said: str
):
    # given
    workspace.registry.denied.add(privilege)
    if privilege == "CREATE_SCHEMA":
        workspace.registry.schemas.clear()

    # then
    with pytest.raises(CatalogError, match=f"{workspace.url} {said}"):
        machine("first").ensure_schema(*SCHEMA.split("."))


def test_the_privilege_to_register_is_named(
    workspace: DatabricksWorkspace, machine: Callable[[str], DatabricksCatalog], models: list[Logged]
):
    # given
    workspace.registry.denied.add("CREATE_MODEL")

    # then
    with pytest.raises(CatalogError, match=f"{NAME}: .* can't be registered: .*CREATE MODEL on Schema '{SCHEMA}'"):
        register(machine("first"), models[0])


def test_a_schema_that_is_missing_is_created(
    workspace: DatabricksWorkspace, machine: Callable[[str], DatabricksCatalog]
):
    # given
    workspace.registry.schemas.clear()

    # when
    machine("first").ensure_schema(*SCHEMA.split("."))

    # then
    assert workspace.registry.schemas == {SCHEMA}


def test_a_catalog_that_is_missing_is_named(
    workspace: DatabricksWorkspace, machine: Callable[[str], DatabricksCatalog]
):
    with pytest.raises(CatalogError, match=f"There is no catalog marvel_new on {workspace.url}"):
        machine("first").ensure_schema("marvel_new", "characters")


def test_a_token_that_is_refused_is_told_and_not_shown(
    workspace: DatabricksWorkspace, machine: Callable[[str], DatabricksCatalog], monkeypatch: pytest.MonkeyPatch
):
    # given
    monkeypatch.setenv("DATABRICKS_TOKEN", "canary-token")

    # when
    with pytest.raises(CatalogError) as told:
        machine("first").ensure_schema(*SCHEMA.split("."))

    # then
    assert f"{workspace.url} refuses the catalog {CATALOG}" in str(told.value)
    assert "canary" not in str(told.value)


def test_the_registry_itself_finds_nothing_by_tag_and_ours_does(
    machine: Callable[[str], DatabricksCatalog], models: list[Logged]
):
    # given
    catalog = machine("first")
    register(catalog, models[0], git_sha="abc")

    # then
    with pytest.raises(MlflowException, match="Unsupported filter query"):
        mlflow.MlflowClient().search_model_versions("tags.git_sha = 'abc'")
    assert [version.version for version in catalog.versions_tagged(NAME, "git_sha", "abc")] == [1]


def test_of_two_machines_that_register_the_same_model_the_first_version_stays(
    machine: Callable[[str], DatabricksCatalog], models: list[Logged]
):
    # given: both looked before either had registered
    first, second = machine("first"), machine("second")
    register(first, models[0])
    mlflow.register_model(f"models:/{models[0].model_id}", NAME)

    # when
    made = register(second, models[0])

    # then
    assert made.version == 1
    assert [version.version for version in first.versions(NAME)] == [1]


def test_a_service_principal_registers_with_oauth(
    workspace: DatabricksWorkspace,
    machine: Callable[[str], DatabricksCatalog],
    models: list[Logged],
    monkeypatch: pytest.MonkeyPatch,
):
    # given
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", workspace.client_id)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", workspace.client_secret)
    catalog = machine("first")

    # when
    catalog.ensure_schema(*SCHEMA.split("."))
    made = register(catalog, models[0])

    # then
    assert (made.version, made.status) == (1, "READY")
    assert ("POST", "/oidc/v1/token") in workspace.requests


def test_a_profile_of_the_configuration_file_is_used(
    workspace: DatabricksWorkspace, models: list[Logged], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    # given
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.delenv(name)
    (tmp_path / "databrickscfg").write_text(f"[of-the-tests]\nhost = {workspace.url}\ntoken = {workspace.token}\n")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "databrickscfg"))
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "of-the-tests")  # some of MLflow's artifact stores read this alone
    client = connect("databricks://of-the-tests", tmp_path / "locks", "databricks-uc://of-the-tests")
    catalog = DatabricksCatalog(client, tmp_path / "locks", "databricks-uc://of-the-tests")

    # when
    catalog.ensure_schema(*SCHEMA.split("."))
    made = register(catalog, models[0])

    # then
    assert (made.version, made.status) == (1, "READY")
