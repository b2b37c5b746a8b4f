"""What is special to Databricks: privileges, searches that lag behind, two machines, and credentials."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marvel_assets.registry.base import RegistryError
from marvel_assets.registry.databricks import DatabricksRegistry
from marvel_assets.registry.model_pairs import BASIC_MODEL_ID, ModelPair, ModelPairs
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.registry.backends import CATALOG, Backend, config_of, register
from marvel_assets_tests.servers.databricks import DatabricksWorkspace

pytestmark = pytest.mark.integration

Machine = Callable[[str], DatabricksRegistry]


@pytest.fixture
def workspace(databricks_workspace: DatabricksWorkspace) -> Iterator[DatabricksWorkspace]:
    """The tests' workspace, where nothing is denied at first."""
    yield databricks_workspace
    databricks_workspace.before = lambda _: None
    databricks_workspace.registry.denied.clear()
    databricks_workspace.registry.is_search_behind = False


@pytest.fixture
def machine(databricks: Backend, tmp_path: Path) -> Machine:
    client = connect("databricks", Path(databricks.settings["locks"]), "databricks-uc")
    return lambda name: DatabricksRegistry(client, tmp_path / name, "databricks-uc")


@pytest.mark.parametrize(
    ("privilege", "message"),
    [
        ("USE_CATALOG", f"{{schema}} on http.*: User does not have USE CATALOG on Catalog '{CATALOG}'"),
        ("USE_SCHEMA", "{schema} on http.*: User does not have USE SCHEMA on Schema '{schema}'"),
        ("CREATE_SCHEMA", f"{{schema}} on http.*: User does not have CREATE SCHEMA on Catalog '{CATALOG}'"),
        ("CREATE_MODEL", "{schema}.some_model can't be registered: .*CREATE MODEL on Schema '{schema}'"),
    ],
)
def test_a_privilege_that_is_refused_is_named(
    workspace: DatabricksWorkspace, machine: Machine, databricks: Backend, privilege: str, message: str
):
    # given
    schema = f"{CATALOG}.{databricks.schema}"
    workspace.registry.denied.add(privilege)
    if privilege != "CREATE_SCHEMA":
        workspace.registry.schemas.add(schema)

    # then
    with pytest.raises(RegistryError, match=message.replace("{schema}", schema)):
        machine("first").ensure_model(databricks.name)


def test_a_schema_that_is_missing_is_created_by_a_run_and_not_by_a_look(
    workspace: DatabricksWorkspace, machine: Machine, databricks: Backend
):
    # when
    problems = UnityCatalog(**databricks.settings).problems(CATALOG, databricks.schema)

    # then
    assert problems == []
    assert f"{CATALOG}.{databricks.schema}" not in workspace.registry.schemas

    # and when
    machine("first").ensure_model(databricks.name)

    # then
    assert f"{CATALOG}.{databricks.schema}" in workspace.registry.schemas


def test_a_catalog_that_is_missing_is_named(workspace: DatabricksWorkspace, machine: Machine):
    with pytest.raises(RegistryError, match=f"on {workspace.url}: Catalog 'marvel_new' does not exist"):
        machine("first").ensure_model("marvel_new.characters.some_model")


def test_of_two_machines_that_register_the_same_model_the_first_version_stays(
    workspace: DatabricksWorkspace, machine: Machine, databricks: Backend
):
    # given: another machine registers between this one's search and its request
    def overtake(path: str) -> None:
        if path.endswith("model-versions/create"):
            workspace.before = lambda _: None
            register(machine("first"), databricks.models[0], databricks.name)

    workspace.before = overtake

    # when
    made = register(machine("second"), databricks.models[0], databricks.name)

    # then
    assert made.version == 1
    assert [version.version for version in databricks.registry.search_versions(databricks.name)] == [1]


def test_a_pair_is_registered_and_served_while_the_search_lags_behind(
    workspace: DatabricksWorkspace, databricks: Backend, small_project: Path
):
    # given
    registry, (first, second, _) = databricks.registry, databricks.models
    pairs = ModelPairs(registry, config_of(databricks, small_project))
    workspace.registry.is_search_behind = True

    # when
    basic = register(registry, first, pairs.basic_name)
    custom = register(registry, second, pairs.custom_name, **{BASIC_MODEL_ID: first.model_id})
    pairs.set_aliases(ModelPair(basic, custom), "")

    # then
    served = pairs.current()
    assert (served.basic, served.custom.version) == (basic, custom.version)
    assert pairs.for_custom_version(custom.version).basic == basic


@pytest.mark.parametrize("profile", ["", "://of-the-tests"])
def test_a_service_principal_registers_and_so_does_a_profile_of_the_configuration_file(
    workspace: DatabricksWorkspace, databricks: Backend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str
):
    # given
    monkeypatch.delenv("DATABRICKS_TOKEN")
    if profile:
        monkeypatch.delenv("DATABRICKS_HOST")
        (tmp_path / "databrickscfg").write_text(f"[of-the-tests]\nhost = {workspace.url}\ntoken = {workspace.token}\n")
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "databrickscfg"))
        monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "of-the-tests")  # some of MLflow's stores read this alone
    else:
        monkeypatch.setenv("DATABRICKS_CLIENT_ID", workspace.client_id)
        monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", workspace.client_secret)
    client = connect(f"databricks{profile}", tmp_path / "locks", f"databricks-uc{profile}")
    registry = DatabricksRegistry(client, tmp_path / "locks", f"databricks-uc{profile}")
    asked_before = len(workspace.requests)

    # when
    made = register(registry, databricks.models[0], databricks.name)

    # then
    assert (made.version, made.status) == (1, "READY")
    assert (("POST", "/oidc/v1/token") in workspace.requests[asked_before:]) == (not profile)
