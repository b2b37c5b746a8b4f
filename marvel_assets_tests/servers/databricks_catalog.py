"""What Unity Catalog of the tests' Databricks workspace knows and answers: catalogs, schemas, grants and models.

Played here are MLflow's calls (`/api/2.0/mlflow/unity-catalog/*`) and those of databricks-sdk
(`/api/2.1/unity-catalog/*`). The server that listens is in `databricks.py`.

Unlike the service: names keep their case, there is one user, who owns what exists, grants are the set `denied` of what
this user lacks, nothing but models and the names of tables stands in a schema, and lineage is taken and forgotten.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

USER = "engineer@example.org"
REGISTRY = "/api/2.0/mlflow/unity-catalog"
CATALOG = "/api/2.1/unity-catalog"
KEY_LENGTH, VALUE_LENGTH = 255, 1000
PAGE = 100
NAME_FILTER = re.compile(r"\s*name\s*=\s*'(.*)'\s*")
PRIVILEGES = {
    "METASTORE": ("CREATE_CATALOG",),
    "CATALOG": ("USE_CATALOG", "CREATE_SCHEMA"),
    "SCHEMA": ("USE_SCHEMA", "CREATE_MODEL", "CREATE_TABLE", "EXECUTE"),
    "FUNCTION": ("EXECUTE", "CREATE_MODEL_VERSION", "MANAGE", "APPLY_TAG"),
}

Json = dict[str, Any]


class Refusal(Exception):  # noqa: N818 - an answer of the server, not an error in it
    """What the server answers instead."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error_code": code, "message": message}


def missing(kind: str, name: str, code: str = "RESOURCE_DOES_NOT_EXIST") -> Refusal:
    return Refusal(404, code, f"{kind} '{name}' does not exist.")


def invalid(message: str) -> Refusal:
    return Refusal(400, "INVALID_PARAMETER_VALUE", message)


def now() -> int:
    return int(time.time() * 1000)


@dataclass
class Version:
    """A version of a model, told in the words of MLflow's protocol."""

    about: Json
    tags: dict[str, str]


@dataclass
class Model:
    """A registered model."""

    name: str
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    last: int = 0
    created: int = field(default_factory=now)
    updated: int = field(default_factory=now)

    def found(self) -> Json:
        """What a search tells of the model: neither tags nor aliases."""
        return {
            "name": self.name,
            "description": self.description,
            "user_id": USER,
            "creation_timestamp": self.created,
            "last_updated_timestamp": self.updated,
        }

    def described(self) -> Json:
        aliases = [{"alias": alias, "version": version} for alias, version in self.aliases.items()]
        return {**self.found(), "tags": _pairs(self.tags), "aliases": aliases}

    def version(self, number: str) -> Version:
        if number not in self.versions:
            raise missing("Model version", f"{self.name}/{number}")
        return self.versions[number]

    def described_version(self, number: str) -> Json:
        version = self.version(number)
        aliases = [{"alias": alias, "version": at} for alias, at in self.aliases.items() if at == number]
        return {**version.about, "tags": _pairs(version.tags), "aliases": aliases}


class Registry:
    """Catalogs, schemas and models. Whoever calls takes care that one call runs at a time."""

    def __init__(self) -> None:
        self.catalogs: set[str] = set()
        self.schemas: set[str] = set()
        self.tables: dict[str, Json] = {}
        self.models: dict[str, Model] = {}
        self.denied: set[str] = set()
        self.sdk_artifacts = True

    def needs(self, privilege: str, securable: str) -> None:
        if privilege in self.denied:
            raise Refusal(403, "PERMISSION_DENIED", f"User does not have {privilege.replace('_', ' ')} on {securable}.")

    def enter_catalog(self, name: str) -> None:
        if name not in self.catalogs:
            raise missing("Catalog", name, "CATALOG_DOES_NOT_EXIST")
        self.needs("USE_CATALOG", f"Catalog '{name}'")

    def enter_schema(self, full_name: str) -> None:
        self.enter_catalog(full_name.partition(".")[0])
        if full_name not in self.schemas:
            raise missing("Schema", full_name, "SCHEMA_DOES_NOT_EXIST")
        self.needs("USE_SCHEMA", f"Schema '{full_name}'")

    def model(self, name: str, privilege: str = "EXECUTE") -> Model:
        self.enter_schema(_three_levels(name).rpartition(".")[0])
        if name not in self.models:
            raise missing("Routine or Model", name)
        self.needs(privilege, f"Routine or Model '{name}'")
        return self.models[name]

    # MLflow's calls

    def create_model(self, asked: Json) -> Json:
        name = _three_levels(asked.get("name", ""))
        schema = name.rpartition(".")[0]
        self.enter_schema(schema)
        self.needs("CREATE_MODEL", f"Schema '{schema}'")
        if name in self.models:
            raise Refusal(400, "RESOURCE_ALREADY_EXISTS", f"Routine or Model '{name}' already exists.")
        self.models[name] = Model(name, asked.get("description", ""), _checked(asked.get("tags", [])))
        return {"registered_model": self.models[name].described()}

    def get_model(self, asked: Json) -> Json:
        return {"registered_model": self.model(asked["name"]).described()}

    def update_model(self, asked: Json) -> Json:
        model = self.model(asked["name"], "MANAGE")
        model.description, model.updated = asked.get("description", model.description), now()
        if new_name := asked.get("new_name"):
            self._rename(model, new_name)
        return {"registered_model": model.described()}

    def _rename(self, model: Model, new_name: str) -> None:
        if _three_levels(new_name).rpartition(".")[0] != model.name.rpartition(".")[0]:
            raise invalid("A model can't be renamed into another schema.")
        if new_name in self.models:
            raise Refusal(400, "RESOURCE_ALREADY_EXISTS", f"Routine or Model '{new_name}' already exists.")
        self.models[new_name] = self.models.pop(model.name)
        model.name = new_name
        for version in model.versions.values():
            version.about["name"] = new_name

    def delete_model(self, asked: Json) -> Json:
        del self.models[self.model(asked["name"], "MANAGE").name]
        return {}

    def search_models(self, asked: Json) -> Json:
        return _page("registered_models", [model.found() for model in self.models.values()], asked)

    def set_model_tag(self, asked: Json) -> Json:
        self.model(asked["name"], "APPLY_TAG").tags.update(_checked([asked]))
        return {}

    def delete_model_tag(self, asked: Json) -> Json:
        self.model(asked["name"], "APPLY_TAG").tags.pop(asked["key"], None)
        return {}

    def set_alias(self, asked: Json) -> Json:
        model = self.model(asked["name"], "MANAGE")
        model.version(str(asked["version"]))
        model.aliases[asked["alias"]] = str(asked["version"])
        return {}

    def delete_alias(self, asked: Json) -> Json:
        self.model(asked["name"], "MANAGE").aliases.pop(asked["alias"], None)
        return {}

    def get_by_alias(self, asked: Json) -> Json:
        model = self.model(asked["name"])
        if asked["alias"] not in model.aliases:
            raise missing("Alias", asked["alias"])
        return {"model_version": model.described_version(model.aliases[asked["alias"]])}

    def create_version(self, asked: Json) -> Json:
        model = self.model(asked["name"], "CREATE_MODEL_VERSION")
        tags = _checked(asked.get("tags", []))
        model.last += 1
        number, made = str(model.last), now()
        taken = ("source", "run_id", "run_tracking_server_id", "model_id", "description")
        about = {
            **{key: asked.get(key, "") for key in taken},
            "name": model.name,
            "version": number,
            "user_id": USER,
            "status": "PENDING_REGISTRATION",
            "storage_location": f"dbfs:/Models/{model.name.replace('.', '/')}/{number}",
            "creation_timestamp": made,
            "last_updated_timestamp": made,
        }
        model.versions[number] = Version(about, tags)
        return {"model_version": model.described_version(number)}

    def version(self, asked: Json, privilege: str = "EXECUTE") -> Version:
        return self.model(asked["name"], privilege).version(str(asked["version"]))

    def get_version(self, asked: Json) -> Json:
        return {"model_version": self.model(asked["name"]).described_version(str(asked["version"]))}

    def update_version(self, asked: Json) -> Json:
        about = self.version(asked, "MANAGE").about
        about.update(description=asked.get("description", about["description"]), last_updated_timestamp=now())
        return self.get_version(asked)

    def finalize_version(self, asked: Json) -> Json:
        self.version(asked, "CREATE_MODEL_VERSION").about.update(status="READY", last_updated_timestamp=now())
        return self.get_version(asked)

    def delete_version(self, asked: Json) -> Json:
        model, number = self.model(asked["name"], "MANAGE"), str(asked["version"])
        model.version(number)
        del model.versions[number]
        model.aliases = {alias: at for alias, at in model.aliases.items() if at != number}
        return {}

    def search_versions(self, asked: Json) -> Json:
        query = asked.get("filter", "")
        named = NAME_FILTER.fullmatch(query)
        if named is None:
            message = "Please specify your filter parameter in the format `name = 'model_name'`"
            raise invalid(f"Unsupported filter query : `{query}`. {message}")
        model = self.models.get(_three_levels(named[1]))
        versions = list(model.versions.values()) if model else []
        return _page("model_versions", [version.about for version in versions], asked)

    def set_version_tag(self, asked: Json) -> Json:
        self.version(asked, "APPLY_TAG").tags.update(_checked([asked]))
        return {}

    def delete_version_tag(self, asked: Json) -> Json:
        self.version(asked, "APPLY_TAG").tags.pop(asked["key"], None)
        return {}

    def download_uri(self, asked: Json) -> Json:
        return {"artifact_uri": self.version(asked).about["storage_location"]}

    def credentials(self, asked: Json) -> Json:
        """None for a cloud: the client is told to ask the Files API for presigned URLs."""
        writes = asked.get("operation") == "MODEL_VERSION_OPERATION_READ_WRITE"
        self.version(asked, "CREATE_MODEL_VERSION" if writes else "EXECUTE")
        return {"credentials": {"storage_mode": "DEFAULT_STORAGE", "expiration_time": now() + 3_600_000}}

    def is_sdk_enabled(self, _asked: Json) -> Json:
        return {"is_databricks_sdk_models_artifact_repository_enabled": self.sdk_artifacts}

    def take_lineage(self, asked: Json) -> Json:
        self.version(asked)
        return {}

    # The calls of databricks-sdk

    def get_me(self, _asked: Json) -> Json:
        return {"id": "1", "userName": USER, "displayName": USER, "active": True, "emails": [{"value": USER}]}

    def get_catalog(self, asked: Json) -> Json:
        self.enter_catalog(asked["name"])
        return {"name": asked["name"], "full_name": asked["name"], "owner": USER, "catalog_type": "MANAGED_CATALOG"}

    def create_catalog(self, asked: Json) -> Json:
        self.needs("CREATE_CATALOG", "Metastore 'tests'")
        if asked["name"] in self.catalogs:
            raise Refusal(400, "CATALOG_ALREADY_EXISTS", f"Catalog '{asked['name']}' already exists")
        self.catalogs.add(asked["name"])
        self.schemas.add(f"{asked['name']}.default")
        return self.get_catalog(asked)

    def list_catalogs(self, _asked: Json) -> Json:
        return {"catalogs": [{"name": name, "owner": USER} for name in sorted(self.catalogs)]}

    def get_schema(self, asked: Json) -> Json:
        self.enter_schema(asked["full_name"])
        catalog, _, name = asked["full_name"].partition(".")
        return {"name": name, "catalog_name": catalog, "full_name": asked["full_name"], "owner": USER}

    def create_schema(self, asked: Json) -> Json:
        self.enter_catalog(asked["catalog_name"])
        self.needs("CREATE_SCHEMA", f"Catalog '{asked['catalog_name']}'")
        full_name = f"{asked['catalog_name']}.{asked['name']}"
        if full_name in self.schemas:
            raise Refusal(400, "SCHEMA_ALREADY_EXISTS", f"Schema '{full_name}' already exists")
        self.schemas.add(full_name)
        return self.get_schema({"full_name": full_name})

    def list_schemas(self, asked: Json) -> Json:
        self.enter_catalog(asked["catalog_name"])
        names = sorted(name for name in self.schemas if name.startswith(f"{asked['catalog_name']}."))
        return {"schemas": [{"full_name": name, "name": name.partition(".")[2], "owner": USER} for name in names]}

    def create_table(self, asked: Json) -> Json:
        schema = f"{asked['catalog_name']}.{asked['schema_name']}"
        self.enter_schema(schema)
        self.needs("CREATE_TABLE", f"Schema '{schema}'")
        return self.tables.setdefault(f"{schema}.{asked['name']}", {**asked, "full_name": f"{schema}.{asked['name']}"})

    def get_table(self, asked: Json) -> Json:
        self.enter_schema(asked["full_name"].rpartition(".")[0])
        if asked["full_name"] not in self.tables:
            raise missing("Table", asked["full_name"], "TABLE_DOES_NOT_EXIST")
        return self.tables[asked["full_name"]]

    def grants(self, asked: Json) -> Json:
        kind, name = asked["securable_type"].upper(), asked["full_name"]
        exists = {"CATALOG": self.catalogs, "SCHEMA": self.schemas, "FUNCTION": self.models}.get(kind, (name,))
        if name not in exists:
            raise missing(kind.capitalize(), name, f"{kind}_DOES_NOT_EXIST")
        held = [privilege for privilege in PRIVILEGES.get(kind, ()) if privilege not in self.denied]
        if not held or asked.get("principal", USER) != USER:
            return {}
        return {"principal": USER, "privileges": held}

    def get_grants(self, asked: Json) -> Json:
        held = self.grants(asked)
        return {"privilege_assignments": [held] if held else []}

    def get_effective_grants(self, asked: Json) -> Json:
        held = self.grants(asked)
        told = [{"privilege": privilege} for privilege in held.get("privileges", ())]
        return {"privilege_assignments": [{**held, "privileges": told}] if held else []}

    def update_grants(self, asked: Json) -> Json:
        self.grants(asked)
        for change in asked.get("changes", []):
            self.denied.difference_update(change.get("add", []))
            self.denied.update(change.get("remove", []))
        return self.get_grants(asked)

    def create_sdk_model(self, asked: Json) -> Json:
        name = ".".join(asked[part] for part in ("catalog_name", "schema_name", "name"))
        self.create_model({"name": name, "description": asked.get("comment", "")})
        return self.get_sdk_model({"full_name": name})

    def get_sdk_model(self, asked: Json) -> Json:
        return _model_info(self.model(asked["full_name"]), asked)

    def list_sdk_models(self, asked: Json) -> Json:
        within = ".".join(asked[part] for part in ("catalog_name", "schema_name") if part in asked)
        models = [model for name, model in self.models.items() if not within or name.startswith(f"{within}.")]
        return _page("registered_models", [_model_info(model, {}) for model in models], asked)

    def update_sdk_model(self, asked: Json) -> Json:
        changed = {"description": asked["comment"]} if "comment" in asked else {}
        self.update_model({"name": asked["full_name"], **changed})
        return self.get_sdk_model(asked)

    def delete_sdk_model(self, asked: Json) -> Json:
        return self.delete_model({"name": asked["full_name"]})

    def set_sdk_alias(self, asked: Json) -> Json:
        self.set_alias({"name": asked["full_name"], "alias": asked["alias"], "version": asked["version_num"]})
        return {"alias_name": asked["alias"], "version_num": asked["version_num"]}

    def delete_sdk_alias(self, asked: Json) -> Json:
        return self.delete_alias({"name": asked["full_name"], "alias": asked["alias"]})

    def get_sdk_by_alias(self, asked: Json) -> Json:
        return _version_info(self.get_by_alias({**asked, "name": asked["full_name"]})["model_version"], asked)

    def get_sdk_version(self, asked: Json) -> Json:
        return _version_info(self.get_version({**asked, "name": asked["full_name"]})["model_version"], asked)

    def list_sdk_versions(self, asked: Json) -> Json:
        versions = list(self.model(asked["full_name"]).versions.values())
        return _page("model_versions", [_version_info(version.about, {}) for version in versions], asked)

    def update_sdk_version(self, asked: Json) -> Json:
        changed = {"description": asked["comment"]} if "comment" in asked else {}
        self.update_version({"name": asked["full_name"], "version": asked["version"], **changed})
        return self.get_sdk_version(asked)

    def delete_sdk_version(self, asked: Json) -> Json:
        return self.delete_version({**asked, "name": asked["full_name"]})


def _pairs(tags: dict[str, str]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _checked(tags: Iterable[Json]) -> dict[str, str]:
    checked = {tag.get("key", ""): tag.get("value", "") for tag in tags}
    for key, value in checked.items():
        if not 0 < len(key) <= KEY_LENGTH:
            raise invalid(f"Tag key '{key}' must have 1 to {KEY_LENGTH} characters.")
        if len(value) > VALUE_LENGTH:
            raise invalid(f"The value of tag '{key}' exceeds {VALUE_LENGTH} characters.")
    return checked


def _three_levels(name: str) -> str:
    parts = name.split(".")
    if len(parts) != 3 or not all(parts):
        form = "`catalog_name.schema_name.model_name`"
        raise invalid(f"Bad model name: please specify all three levels of the model in the form {form}")
    return name


def _page(key: str, found: list[Json], asked: Json) -> Json:
    start, size = int(asked.get("page_token") or 0), int(asked.get("max_results") or PAGE)
    rest = {"next_page_token": str(start + size)} if start + size < len(found) else {}
    return {key: found[start : start + size], **rest}


def _model_info(model: Model, asked: Json) -> Json:
    catalog, schema, name = model.name.split(".")
    about = {
        "catalog_name": catalog,
        "schema_name": schema,
        "name": name,
        "full_name": model.name,
        "comment": model.description,
        "owner": USER,
        "created_at": model.created,
        "updated_at": model.updated,
    }
    aliases = [{"alias_name": alias, "version_num": int(at)} for alias, at in model.aliases.items()]
    return {**about, "aliases": aliases} if asked.get("include_aliases") == "true" else about


def _version_info(version: Json, asked: Json) -> Json:
    catalog, schema, name = version["name"].split(".")
    about = {
        "catalog_name": catalog,
        "schema_name": schema,
        "model_name": name,
        **{key: version[key] for key in ("status", "source", "run_id", "storage_location")},
        "version": int(version["version"]),
        "comment": version["description"],
        "created_at": version["creation_timestamp"],
        "created_by": USER,
    }
    aliases = [{"alias_name": at["alias"], "version_num": int(at["version"])} for at in version.get("aliases", [])]
    return {**about, "aliases": aliases} if asked.get("include_aliases") == "true" else about


Call = Callable[[Registry, Json], Json]
_ROUTES: tuple[tuple[str, str, Call], ...] = (
    ("POST", f"{REGISTRY}/registered-models/create", Registry.create_model),
    ("GET", f"{REGISTRY}/registered-models/get", Registry.get_model),
    ("PATCH", f"{REGISTRY}/registered-models/update", Registry.update_model),
    ("DELETE", f"{REGISTRY}/registered-models/delete", Registry.delete_model),
    ("GET", f"{REGISTRY}/registered-models/search", Registry.search_models),
    ("POST", f"{REGISTRY}/registered-models/set-tag", Registry.set_model_tag),
    ("DELETE", f"{REGISTRY}/registered-models/delete-tag", Registry.delete_model_tag),
    ("POST", f"{REGISTRY}/registered-models/alias", Registry.set_alias),
    ("DELETE", f"{REGISTRY}/registered-models/alias", Registry.delete_alias),
    ("GET", f"{REGISTRY}/registered-models/alias", Registry.get_by_alias),
    (
        "GET",
        f"{REGISTRY}/registered-models:is-databricks-sdk-models-artifact-repository-enabled",
        Registry.is_sdk_enabled,
    ),
    ("POST", f"{REGISTRY}/model-versions/create", Registry.create_version),
    ("GET", f"{REGISTRY}/model-versions/get", Registry.get_version),
    ("PATCH", f"{REGISTRY}/model-versions/update", Registry.update_version),
    ("POST", f"{REGISTRY}/model-versions/finalize", Registry.finalize_version),
    ("DELETE", f"{REGISTRY}/model-versions/delete", Registry.delete_version),
    ("GET", f"{REGISTRY}/model-versions/search", Registry.search_versions),
    ("POST", f"{REGISTRY}/model-versions/set-tag", Registry.set_version_tag),
    ("DELETE", f"{REGISTRY}/model-versions/delete-tag", Registry.delete_version_tag),
    ("GET", f"{REGISTRY}/model-versions/get-download-uri", Registry.download_uri),
    ("POST", f"{REGISTRY}/model-versions/generate-temporary-credentials", Registry.credentials),
    ("POST", f"{REGISTRY}/model-versions/emit-lineage", Registry.take_lineage),
    ("GET", "/api/2.0/preview/scim/v2/Me", Registry.get_me),
    ("POST", f"{CATALOG}/catalogs", Registry.create_catalog),
    ("GET", f"{CATALOG}/catalogs", Registry.list_catalogs),
    ("GET", f"{CATALOG}/catalogs/{{name}}", Registry.get_catalog),
    ("POST", f"{CATALOG}/schemas", Registry.create_schema),
    ("GET", f"{CATALOG}/schemas", Registry.list_schemas),
    ("GET", f"{CATALOG}/schemas/{{full_name}}", Registry.get_schema),
    ("POST", f"{CATALOG}/tables", Registry.create_table),
    ("GET", f"{CATALOG}/tables/{{full_name}}", Registry.get_table),
    ("GET", f"{CATALOG}/permissions/{{securable_type}}/{{full_name}}", Registry.get_grants),
    ("PATCH", f"{CATALOG}/permissions/{{securable_type}}/{{full_name}}", Registry.update_grants),
    ("GET", f"{CATALOG}/effective-permissions/{{securable_type}}/{{full_name}}", Registry.get_effective_grants),
    ("POST", f"{CATALOG}/models", Registry.create_sdk_model),
    ("GET", f"{CATALOG}/models", Registry.list_sdk_models),
    ("GET", f"{CATALOG}/models/{{full_name}}", Registry.get_sdk_model),
    ("PATCH", f"{CATALOG}/models/{{full_name}}", Registry.update_sdk_model),
    ("DELETE", f"{CATALOG}/models/{{full_name}}", Registry.delete_sdk_model),
    ("PUT", f"{CATALOG}/models/{{full_name}}/aliases/{{alias}}", Registry.set_sdk_alias),
    ("DELETE", f"{CATALOG}/models/{{full_name}}/aliases/{{alias}}", Registry.delete_sdk_alias),
    ("GET", f"{CATALOG}/models/{{full_name}}/aliases/{{alias}}", Registry.get_sdk_by_alias),
    ("GET", f"{CATALOG}/models/{{full_name}}/versions", Registry.list_sdk_versions),
    ("GET", f"{CATALOG}/models/{{full_name}}/versions/{{version}}", Registry.get_sdk_version),
    ("PATCH", f"{CATALOG}/models/{{full_name}}/versions/{{version}}", Registry.update_sdk_version),
    ("DELETE", f"{CATALOG}/models/{{full_name}}/versions/{{version}}", Registry.delete_sdk_version),
)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template)))


ROUTES = tuple((method, _pattern(template), call) for method, template, call in _ROUTES)


def find_call(method: str, path: str) -> tuple[Call, dict[str, str]]:
    """The call that the route names, and what the path says to it."""
    for routed, pattern, call in ROUTES:
        if routed == method and (named := pattern.fullmatch(path)):
            return call, named.groupdict()
    raise Refusal(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {path}'")
