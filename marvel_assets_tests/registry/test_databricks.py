"""What is special to Databricks: privileges, searches without tags, two machines, and a workspace that fails."""

from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from marvel_assets.registry.base import CatalogError
from marvel_assets.registry.databricks import DatabricksCatalog
from marvel_assets.registry.model_pairs import WRAPS, ModelPair, ModelPairs
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.registry.backends import CATALOG, Backend, config_of, register
from marvel_assets_tests.servers.databricks import DatabricksWorkspace

Machine = Callable[[str], DatabricksCatalog]


@pytest.fixture
def workspace(databricks_workspace: DatabricksWorkspace) -> Iterator[DatabricksWorkspace]:
    """The tests' workspace, where nothing is denied at first."""
    yield databricks_workspace
    databricks_workspace.registry.denied.clear()
    databricks_workspace.registry.is_search_behind = False


@pytest.fixture
def machine(databricks: Backend, tmp_path: Path) -> Machine:
    client = connect("databricks", Path(databricks.settings["locks"]), "databricks-uc")
    return lambda name: DatabricksCatalog(client, tmp_path / name, "databricks-uc")


@pytest.mark.parametrize(
    ("privilege", "said"),
    [
        ("USE_CATALOG", f"refuses the catalog {CATALOG}: .*Grant USE CATALOG on it"),
        ("USE_SCHEMA", "refuses the schema {schema}: .*Grant USE SCHEMA on it"),
        ("CREATE_SCHEMA", "refuses to create the schema {schema}: .*Grant CREATE SCHEMA on " + CATALOG),
    ],
)
def test_a_privilege_that_is_refused_is_named(
    workspace: DatabricksWorkspace, machine: Machine, databricks: Backend, privilege: str, said: str
):
    # given
    schema = f"{CATALOG}.{databricks.schema}"
    workspace.registry.denied.add(privilege)
    if privilege == "CREATE_SCHEMA":
        workspace.registry.schemas.remove(schema)

    # then
    with pytest.raises(CatalogError, match=f"{workspace.url} {said.replace('{schema}', schema)}"):
        machine("first").ensure_schema(CATALOG, databricks.schema)


def test_the_privilege_to_register_is_named(workspace: DatabricksWorkspace, machine: Machine, databricks: Backend):
    # given
    schema = f"{CATALOG}.{databricks.schema}"
    workspace.registry.denied.add("CREATE_MODEL")

    # then
    told = f"{databricks.name}: .* can't be registered: .*CREATE MODEL on Schema '{schema}'"
    with pytest.raises(CatalogError, match=told):
        register(machine("first"), databricks.models[0], databricks.name)


def test_a_schema_that_is_missing_is_created(workspace: DatabricksWorkspace, machine: Machine, databricks: Backend):
    # given
    schema = f"{CATALOG}.{databricks.schema}"
    workspace.registry.schemas.remove(schema)

    # when
    machine("first").ensure_schema(CATALOG, databricks.schema)

    # then
    assert schema in workspace.registry.schemas


def test_a_schema_that_is_missing_is_not_created_by_a_look(workspace: DatabricksWorkspace, databricks: Backend):
    # when
    problems = UnityCatalog(**databricks.settings).problems(CATALOG, "looked_at")

    # then
    assert problems == []
    assert f"{CATALOG}.looked_at" not in workspace.registry.schemas


def test_a_catalog_that_is_missing_is_named(workspace: DatabricksWorkspace, machine: Machine):
    with pytest.raises(CatalogError, match=f"There is no catalog marvel_new on {workspace.url}"):
        machine("first").ensure_schema("marvel_new", "characters")


def test_a_token_that_is_refused_is_told_and_not_shown(
    workspace: DatabricksWorkspace, machine: Machine, databricks: Backend, monkeypatch: pytest.MonkeyPatch
):
    # given
    monkeypatch.setenv("DATABRICKS_TOKEN", "canary-token")

    # when
    with pytest.raises(CatalogError) as told:
        machine("first").ensure_schema(CATALOG, databricks.schema)

    # then
    assert f"{workspace.url} refuses the catalog {CATALOG}" in str(told.value)
    assert "canary" not in str(told.value)


def test_the_registry_itself_finds_nothing_by_tag_and_ours_does(machine: Machine, databricks: Backend):
    # given
    catalog = machine("first")
    register(catalog, databricks.models[0], databricks.name, git_sha="abc")

    # then
    with pytest.raises(MlflowException, match="Unsupported filter query"):
        mlflow.MlflowClient().search_model_versions("tags.git_sha = 'abc'")
    assert [version.version for version in catalog.versions_tagged(databricks.name, "git_sha", "abc")] == [1]


def test_of_two_machines_that_register_the_same_model_the_first_version_stays(machine: Machine, databricks: Backend):
    # given: both looked before either had registered
    first, second = machine("first"), machine("second")
    register(first, databricks.models[0], databricks.name)
    mlflow.register_model(f"models:/{databricks.models[0].model_id}", databricks.name)

    # when
    made = register(second, databricks.models[0], databricks.name)

    # then
    assert made.version == 1
    assert [version.version for version in first.versions(databricks.name)] == [1]


def test_a_pair_is_registered_and_served_while_the_search_lags_behind(
    workspace: DatabricksWorkspace, databricks: Backend, small_project: Path, tmp_path: Path
):
    # given
    catalog, (first, second, _) = databricks.catalog, databricks.models
    pairs = ModelPairs(catalog, config_of(databricks, small_project), tmp_path)
    workspace.registry.is_search_behind = True

    # when
    basic = register(catalog, first, pairs.basic_name)
    custom = register(catalog, second, pairs.custom_name, **{WRAPS: first.model_id})
    pairs.move(ModelPair(basic, custom), None)

    # then
    served = pairs.current()
    assert (served.basic, served.custom.version) == (basic, custom.version)
    assert pairs.of_custom(custom.version).basic == basic


def test_of_many_versions_only_the_one_that_is_wanted_is_asked_for(
    workspace: DatabricksWorkspace, machine: Machine, databricks: Backend
):
    # given
    catalog = machine("first")
    for model in databricks.models:
        register(catalog, model, databricks.name)
    asked_before = len(workspace.requests)

    # when
    [found] = catalog.versions(databricks.name, model_id=databricks.models[0].model_id)

    # then
    asked = [path.rpartition("/")[2] for _, path in workspace.requests[asked_before:] if "model-versions" in path]
    assert (found.version, asked) == (1, ["search", "get"])


def test_a_service_principal_registers_with_oauth(
    workspace: DatabricksWorkspace,
    machine: Machine,
    databricks: Backend,
    monkeypatch: pytest.MonkeyPatch,
):
    # given
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", workspace.client_id)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", workspace.client_secret)
    catalog = machine("first")

    # when
    catalog.ensure_schema(CATALOG, databricks.schema)
    made = register(catalog, databricks.models[0], databricks.name)

    # then
    assert (made.version, made.status) == (1, "READY")
    assert ("POST", "/oidc/v1/token") in workspace.requests


def test_a_profile_of_the_configuration_file_is_used(
    workspace: DatabricksWorkspace, databricks: Backend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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
    catalog.ensure_schema(CATALOG, databricks.schema)
    made = register(catalog, databricks.models[0], databricks.name)

    # then
    assert (made.version, made.status) == (1, "READY")
