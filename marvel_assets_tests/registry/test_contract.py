"""The contract of the model registry. Every backend passes the same suite; they are made in ``backends.py``."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest

from marvel_assets.registry.base import ModelRegistry, ModelVersion, RegistryError
from marvel_assets_tests.registry.backends import ALIAS, Backend, register

AWKWARD = """it's "so": `x` = 'y' and \\ % ✓"""


def numbers(registry: ModelRegistry, name: str) -> list[int]:
    return [version.version for version in registry.search_versions(name)]


def test_the_first_registration_is_version_1_with_all_that_was_given(backend: Backend, registry: ModelRegistry):
    # given
    model = backend.models[0]

    # when
    made = register(registry, model, backend.name, git_sha="abc")

    # then
    assert made == ModelVersion(
        backend.name, 1, model.model_id, model.run_id, "READY", {"git_sha": "abc"}, "made by a test"
    )
    for uri in (f"models:/{backend.name}/1", f"models:/{model.model_id}"):
        assert list(mlflow.sklearn.load_model(uri).predict([[0.0], [1.0]])) == [0, 1]


def test_each_model_makes_one_version_under_a_name(backend: Backend, registry: ModelRegistry):
    # when
    made = [register(registry, model, backend.name).version for model in (*backend.models[:2], *backend.models)]
    elsewhere = register(registry, backend.models[1], f"{backend.name}_longer")

    # then
    assert made == [1, 2, 1, 2, 3]
    assert numbers(registry, backend.name) == [3, 2, 1]
    assert (elsewhere.name, elsewhere.version) == (f"{backend.name}_longer", 1)


def test_threads_that_register_at_once_make_a_version_for_each_model(backend: Backend, registry: ModelRegistry):
    # given
    models = [*backend.models, *backend.models]

    # when
    with ThreadPoolExecutor(len(models)) as threads:
        made = list(threads.map(lambda model: register(registry, model, backend.name).version, models))

    # then
    assert sorted(made) == [1, 1, 2, 2, 3, 3]
    assert numbers(registry, backend.name) == [3, 2, 1]


def test_a_model_that_was_never_logged_is_refused_and_makes_no_version(backend: Backend, registry: ModelRegistry):
    # when
    with pytest.raises(RegistryError, match=f"{backend.name}: m-0000 can't be registered"):
        registry.register(backend.name, "m-0000", {}, "")

    # then
    assert numbers(registry, backend.name) == []


@pytest.mark.parametrize("kind", ["embedded", pytest.param("databricks", marks=pytest.mark.integration)])
def test_mlflows_page_of_a_logged_model_shows_its_version(made_backend: Callable[[str], Backend], kind: str):
    # given
    backend = made_backend(kind)

    # when
    register(backend.registry, backend.models[0], backend.name)

    # then
    links = mlflow.MlflowClient().get_logged_model(backend.models[0].model_id).tags["mlflow.modelVersions"]
    assert {"name": backend.name, "version": "1"} in json.loads(links)


def test_a_version_whose_maker_died_is_made_anew(backend: Backend, registry: ModelRegistry):
    if backend.set_status is None:
        pytest.skip("nothing can hold back this backend's versions")
    # given
    register(registry, backend.models[0], backend.name)
    backend.set_status(backend.name, 1, "PENDING_REGISTRATION")

    # when
    made = register(registry, backend.models[0], backend.name)

    # then
    assert made.status == "READY"
    assert numbers(registry, backend.name) == [made.version]


def test_an_alias_is_only_set_to_a_version_that_is_ready(backend: Backend, registry: ModelRegistry):
    if backend.set_status is None:
        pytest.skip("nothing can hold back this backend's versions")
    # given
    for model in backend.models[:2]:
        register(registry, model, backend.name)
    registry.set_alias(backend.name, ALIAS, 1)
    backend.set_status(backend.name, 2, "FAILED_REGISTRATION")

    # when
    for name, version, problem in (
        (backend.name, 2, "is FAILED_REGISTRATION, expected READY; the alias latest-model was not moved"),
        (backend.name, 7, "does not exist; the alias latest-model was not moved"),
        (f"{backend.name}_other", 1, "does not exist"),
    ):
        with pytest.raises(RegistryError, match=f"{name} version {version} {problem}"):
            registry.set_alias(name, ALIAS, version)

    # then
    assert registry.get_version_by_alias(backend.name, ALIAS).version == 1


def test_an_alias_moves_both_ways_and_leaves_the_others(backend: Backend, registry: ModelRegistry):
    # given
    made = [register(registry, model, backend.name) for model in backend.models[:2]]
    registry.set_alias(backend.name, "first", 1)

    # when
    seen = []
    for version in (2, 1, 2):
        registry.set_alias(backend.name, ALIAS, version)
        seen.append(registry.get_version_by_alias(backend.name, ALIAS))

    # then
    assert seen == [made[1], made[0], made[1]]
    assert registry.get_version_by_alias(backend.name, "first") == made[0]
    assert numbers(registry, backend.name) == [2, 1]


def test_a_version_is_found_by_its_number_and_by_its_logged_model_and_no_other(
    backend: Backend, registry: ModelRegistry
):
    # given
    first, _ = (register(registry, model, backend.name, git_sha="abc") for model in backend.models[:2])

    # then
    assert registry.get_version(backend.name, 1) == first
    assert registry.search_versions(backend.name, model_id=first.model_id) == [first]
    assert registry.search_versions(f"{backend.name}_other") == []
    for name in (backend.name, f"{backend.name}_other"):
        assert registry.get_version(name, 3) is None
        assert registry.get_version_by_alias(name, ALIAS) is None


def test_tags_and_description_of_one_version_can_be_changed_later(backend: Backend, registry: ModelRegistry):
    # given
    for model in backend.models[:2]:
        register(registry, model, backend.name, kept="as it was", changed="before")

    # when
    registry.set_tags(backend.name, 1, {"changed": "after"}, AWKWARD)
    registry.set_tags(backend.name, 1, {"key with blanks": AWKWARD})

    # then
    second, first = registry.search_versions(backend.name)
    assert first.tags == {"kept": "as it was", "changed": "after", "key with blanks": AWKWARD}
    assert second.tags == {"kept": "as it was", "changed": "before"}
    assert (first.description, second.description) == (AWKWARD, "made by a test")
