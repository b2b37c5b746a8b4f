"""The contract of the model catalog. Every backend passes the same suite; they are made in ``backends.py``."""

import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest

from marvel_assets.registry.base import CatalogError, CatalogVersion, ModelCatalog
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets_tests.registry.backends import ALIAS, CATALOG, Backend, Logged, register

VERSIONS_OF_A_MODEL = "mlflow.modelVersions"
AWKWARD = """it's "so": `x` = 'y' and \\ % ✓"""


def numbers(catalog: ModelCatalog, name: str) -> list[int]:
    return [version.version for version in catalog.versions(name)]


def register_in_a_process(settings: dict[str, str], name: str, model_id: str) -> int:
    return UnityCatalog(**settings).catalog().register(name, model_id, {}, "made by a test").version


def test_the_first_registration_is_version_1_and_tells_what_it_was_made_of(backend: Backend, catalog: ModelCatalog):
    # given
    model = backend.models[0]

    # when
    made = register(catalog, model, backend.name, git_sha="abc")

    # then
    assert made == CatalogVersion(
        backend.name, 1, model.model_id, model.run_id, "READY", {"git_sha": "abc"}, "made by a test"
    )


def test_each_model_makes_the_next_version_and_they_are_listed_newest_first(backend: Backend, catalog: ModelCatalog):
    # when
    made = [register(catalog, model, backend.name).version for model in backend.models]

    # then
    assert made == [1, 2, 3]
    assert numbers(catalog, backend.name) == [3, 2, 1]


def test_the_same_model_never_makes_a_second_version(backend: Backend, catalog: ModelCatalog):
    # given
    made = [register(catalog, model, backend.name) for model in backend.models[:2]]

    # when
    again = [register(catalog, model, backend.name) for model in backend.models[:2]]

    # then
    assert again == made
    assert numbers(catalog, backend.name) == [2, 1]


@pytest.mark.parametrize("kind", ["embedded", "databricks"])
def test_registering_again_makes_up_for_the_note_on_the_model_that_a_killed_process_did_not_come_to(
    made_backend: Callable[[str], Backend], kind: str
):
    # given
    backend = made_backend(kind)
    client, model_id = mlflow.MlflowClient(), backend.models[0].model_id
    register(backend.catalog, backend.models[0], backend.name)
    if VERSIONS_OF_A_MODEL in client.get_logged_model(model_id).tags:
        client.delete_logged_model_tag(model_id, VERSIONS_OF_A_MODEL)

    # when
    register(backend.catalog, backend.models[0], backend.name)

    # then
    told = client.get_logged_model(model_id).tags[VERSIONS_OF_A_MODEL]
    assert json.loads(told) == [{"name": backend.name, "version": "1"}]


def test_the_same_model_may_stand_under_two_names(backend: Backend, catalog: ModelCatalog):
    # when
    made = [register(catalog, backend.models[0], name) for name in (backend.name, backend.other)]

    # then
    assert [(version.name, version.version) for version in made] == [(backend.name, 1), (backend.other, 1)]


def test_threads_that_register_the_same_model_make_one_version(backend: Backend, catalog: ModelCatalog):
    # when
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: register(catalog, backend.models[0], backend.name).version, range(4)))

    # then
    assert made == [1] * 4
    assert numbers(catalog, backend.name) == [1]


def test_threads_that_register_models_of_their_own_make_a_version_each(backend: Backend, catalog: ModelCatalog):
    # when
    with ThreadPoolExecutor(3) as threads:
        made = list(threads.map(lambda model: register(catalog, model, backend.name).version, backend.models))

    # then
    assert sorted(made) == [1, 2, 3]


def test_processes_that_register_the_same_model_make_one_version(embedded: Backend):
    # when
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        made = pool.starmap(
            register_in_a_process, [(embedded.settings, embedded.name, embedded.models[0].model_id)] * 6, chunksize=1
        )

    # then
    assert made == [1] * 6
    assert numbers(embedded.catalog, embedded.name) == [1]


def test_a_model_that_was_never_logged_is_refused_and_makes_no_version(backend: Backend, catalog: ModelCatalog):
    # when
    with pytest.raises(CatalogError, match=f"{backend.name}: m-0000 can't be registered"):
        register(catalog, Logged("m-0000", ""), backend.name)

    # then
    assert numbers(catalog, backend.name) == []


def test_a_registered_version_can_be_loaded_and_the_logged_model_still_can(backend: Backend, catalog: ModelCatalog):
    # given
    made = register(catalog, backend.models[0], backend.name)

    # when
    models = [
        mlflow.sklearn.load_model(f"models:/{of}")
        for of in (f"{backend.name}/{made.version}", backend.models[0].model_id)
    ]

    # then
    assert [list(model.predict([[0.0], [1.0]])) for model in models] == [[0, 1]] * 2


def test_a_version_that_is_ready_is_not_waited_for(backend: Backend, catalog: ModelCatalog):
    # given
    made = register(catalog, backend.models[0], backend.name)

    # then
    assert catalog.wait_until_ready(backend.name, made.version, seconds=0) == made


def test_an_alias_is_not_set_to_a_version_that_is_not_ready(backend: Backend, catalog: ModelCatalog):
    if backend.set_status is None:
        pytest.skip("nothing can hold back this backend's versions")
    # given
    for model in backend.models[:2]:
        register(catalog, model, backend.name)
    catalog.set_alias(backend.name, ALIAS, 1)

    # when
    for status in ("PENDING_REGISTRATION", "FAILED_REGISTRATION"):
        backend.set_status(backend.name, 2, status)
        with pytest.raises(CatalogError, match=f"{backend.name} version 2 is {status}"):
            catalog.set_alias(backend.name, ALIAS, 2)

    # then
    assert catalog.version_under(backend.name, ALIAS).version == 1


def test_a_version_that_does_not_exist_is_named(backend: Backend, catalog: ModelCatalog):
    # given
    register(catalog, backend.models[0], backend.name)

    # then
    for name, version in ((backend.name, 7), (backend.other, 1)):
        with pytest.raises(CatalogError, match=f"{name} version {version}"):
            catalog.wait_until_ready(name, version, seconds=0)
        with pytest.raises(CatalogError, match=f"{name} version {version}"):
            catalog.set_alias(name, ALIAS, version)


def test_an_alias_points_at_the_version_that_it_was_set_to_and_makes_none_of_its_own(
    backend: Backend, catalog: ModelCatalog
):
    # given
    first, second = (register(catalog, model, backend.name) for model in backend.models[:2])

    # when
    catalog.set_alias(backend.name, ALIAS, 1)

    # then
    assert catalog.version_under(backend.name, ALIAS) == first
    assert list(catalog.versions(backend.name)) == [second, first]


def test_an_alias_moves_both_ways(backend: Backend, catalog: ModelCatalog):
    # given
    for model in backend.models:
        register(catalog, model, backend.name)

    # when
    seen = []
    for version in (2, 1, 3):
        catalog.set_alias(backend.name, ALIAS, version)
        seen.append(catalog.version_under(backend.name, ALIAS).version)

    # then
    assert seen == [2, 1, 3]


def test_an_alias_that_is_deleted_leaves_the_others_and_the_versions(backend: Backend, catalog: ModelCatalog):
    # given
    for model in backend.models[:2]:
        register(catalog, model, backend.name)
    register(catalog, backend.models[0], backend.other)
    catalog.set_alias(backend.name, ALIAS, 2)
    catalog.set_alias(backend.name, "previous", 1)
    catalog.set_alias(backend.other, ALIAS, 1)

    # when
    catalog.delete_alias(backend.name, ALIAS)

    # then
    assert catalog.version_under(backend.name, ALIAS) is None
    assert catalog.version_under(backend.name, "previous").version == 1
    assert catalog.version_under(backend.other, ALIAS).version == 1
    assert numbers(catalog, backend.name) == [2, 1]


def test_deleting_an_alias_that_is_not_there_does_nothing(backend: Backend, catalog: ModelCatalog):
    # given
    register(catalog, backend.models[0], backend.name)

    # when: no such alias, no such model
    for name in (backend.name, backend.other):
        catalog.delete_alias(name, ALIAS)

    # then
    assert numbers(catalog, backend.name) == [1]


def test_versions_of_other_models_are_not_found(backend: Backend, catalog: ModelCatalog):
    # given
    register(catalog, backend.models[0], f"{backend.name}_longer")
    register(catalog, backend.models[1], backend.name)

    # then
    assert [version.model_id for version in catalog.versions(backend.name)] == [backend.models[1].model_id]


def test_a_version_is_found_by_its_number_and_by_its_logged_model(backend: Backend, catalog: ModelCatalog):
    # given
    first, _ = (register(catalog, model, backend.name, git_sha="abc") for model in backend.models[:2])

    # then
    assert catalog.find_version(backend.name, 1) == first
    assert catalog.find_version(backend.name, 3) is None
    assert list(catalog.versions(backend.name, model_id=first.model_id)) == [first]


def test_an_unknown_model_has_no_versions_and_no_alias(backend: Backend, catalog: ModelCatalog):
    assert list(catalog.versions(backend.name)) == []
    assert catalog.find_version(backend.name, 1) is None
    assert list(catalog.versions_tagged(backend.name, "key", "value")) == []
    assert catalog.version_under(backend.name, ALIAS) is None


def test_versions_are_found_by_a_tag_with_its_whole_value_and_its_own_key(backend: Backend, catalog: ModelCatalog):
    # given
    for model, value in zip(backend.models, (AWKWARD, f"{AWKWARD} and more", AWKWARD), strict=True):
        register(catalog, model, backend.name, source=value)

    # then
    assert [version.version for version in catalog.versions_tagged(backend.name, "source", AWKWARD)] == [3, 1]
    assert list(catalog.versions_tagged(backend.name, "absent", AWKWARD)) == []


def test_tags_can_be_added_and_changed_later(backend: Backend, catalog: ModelCatalog):
    # given
    register(catalog, backend.models[0], backend.name, kept="as it was", changed="before")

    # when
    catalog.set_tags(backend.name, 1, {"changed": "after", "key with blanks": AWKWARD})

    # then
    [version] = catalog.versions(backend.name)
    assert version.tags == {"kept": "as it was", "changed": "after", "key with blanks": AWKWARD}
    assert list(catalog.versions_tagged(backend.name, "key with blanks", AWKWARD)) == [version]


def test_tags_of_one_version_are_not_those_of_another(backend: Backend, catalog: ModelCatalog):
    # given
    for model in backend.models[:2]:
        register(catalog, model, backend.name)

    # when
    catalog.set_tags(backend.name, 2, {"only": "two"})

    # then
    assert [version.version for version in catalog.versions_tagged(backend.name, "only", "two")] == [2]


def test_the_description_is_kept_beside_the_tags(backend: Backend, catalog: ModelCatalog):
    # given
    register(catalog, backend.models[0], backend.name, kept="tag")

    # when
    catalog.set_description(backend.name, 1, AWKWARD)
    catalog.set_tags(backend.name, 1, {"more": "tags"})

    # then
    [version] = catalog.versions(backend.name)
    assert (version.description, version.tags) == (AWKWARD, {"kept": "tag", "more": "tags"})


def test_the_models_of_a_schema_are_listed_and_aliases_are_not_among_them(backend: Backend, catalog: ModelCatalog):
    # given
    for name in (backend.name, backend.other):
        register(catalog, backend.models[0], name)
        catalog.set_alias(name, ALIAS, 1)

    # then
    assert list(catalog.models(CATALOG, backend.schema)) == [backend.other, backend.name]
    assert list(catalog.models(CATALOG, "no_such_schema")) == []
