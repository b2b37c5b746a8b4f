"""The pair of aliases, on every backend: moved in order, healed after a kill, never taken back by a stale winner."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.registry.base import CatalogError, ModelCatalog
from marvel_assets.registry.model_pairs import (
    ALIAS,
    BASIC_MODEL,
    CUSTOM_MODEL,
    ROLLED_BACK,
    WRAPS,
    Decision,
    ModelPair,
    ModelPairs,
    StalePairError,
)
from marvel_assets_tests.registry.test_contract import (  # noqa: F401 - fixtures
    CATALOG,
    Backend,
    backend,
    home_with_models,
    workspace_with_models,
)

BASIC, CUSTOM = (f"{CATALOG}.tests.{model}" for model in (BASIC_MODEL, CUSTOM_MODEL))
MOVES = 30


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def config(small_project: Path) -> ProjectConfig:
    read = ProjectConfig.from_yaml(small_project)
    return read.model_copy(update={"catalog_name": CATALOG, "schema_name": "tests"})


@pytest.fixture
def pairs(backend: Backend, config: ProjectConfig, tmp_path: Path) -> ModelPairs:  # noqa: F811
    return ModelPairs(backend.catalog, config, tmp_path / "locks")


@pytest.fixture
def two(backend: Backend) -> tuple[ModelPair, ModelPair]:  # noqa: F811
    """Two registered pairs, of which none is served."""
    catalog, models = backend.catalog, backend.models
    return tuple(
        ModelPair(
            catalog.register(BASIC, basic.model_id, {}, "basic"),
            catalog.register(CUSTOM, custom.model_id, {WRAPS: basic.model_id}, "custom"),
        )
        for basic, custom in ((models[0], models[1]), (models[1], models[2]))
    )


def under_the_aliases(catalog: ModelCatalog) -> tuple[int | None, int | None]:
    found = [catalog.version_under(name, ALIAS) for name in (BASIC, CUSTOM)]
    return tuple(None if version is None else version.version for version in found)


def killed_between_the_moves(pairs: ModelPairs, catalog: ModelCatalog, move: Callable[[], object]) -> None:
    """Let the process end after the first alias has moved."""

    class UntilTheFirstMove:
        def __getattr__(self, name: str) -> object:
            return getattr(catalog, name)

        def set_alias(self, name: str, alias: str, version: int) -> None:
            catalog.set_alias(name, alias, version)
            raise KilledError

    pairs._catalog = UntilTheFirstMove()
    try:
        move()
    except KilledError:
        pass
    finally:
        pairs._catalog = catalog


def test_nothing_is_served_at_first(pairs: ModelPairs):
    assert pairs.current() is None
    assert pairs.is_whole()


def test_both_aliases_move(pairs: ModelPairs, two: tuple[ModelPair, ModelPair], backend: Backend):  # noqa: F811
    # when
    is_new = pairs.move(two[0], expected=None)

    # then
    assert is_new
    assert under_the_aliases(backend.catalog) == (1, 1)
    assert pairs.current().basic.model_id == two[0].basic.model_id


def test_moving_to_what_is_served_changes_nothing(pairs: ModelPairs, two: tuple[ModelPair, ModelPair]):
    # given
    pairs.move(two[0], expected=None)

    # then: whatever it was judged against
    assert not pairs.move(two[0], expected="another")


def test_a_stale_winner_can_not_take_a_newer_ones_place(
    pairs: ModelPairs,
    two: tuple[ModelPair, ModelPair],
    backend: Backend,  # noqa: F811
):
    # given: both were judged when nothing was served
    pairs.move(two[1], expected=None)

    # then
    with pytest.raises(StalePairError, match=r"judged against no champion, but m-\w+ is under latest-model by now"):
        pairs.move(two[0], expected=None)
    assert under_the_aliases(backend.catalog) == (2, 2)


def test_a_kill_between_the_moves_leaves_a_consistent_pair_for_who_follows_the_custom_alias(
    pairs: ModelPairs,
    two: tuple[ModelPair, ModelPair],
    backend: Backend,  # noqa: F811
):
    # given
    pairs.move(two[0], expected=None)

    # when
    killed_between_the_moves(pairs, backend.catalog, lambda: pairs.move(two[1], two[0].basic.model_id))

    # then
    assert under_the_aliases(backend.catalog) == (1, 2)
    assert not pairs.is_whole()
    assert pairs.current().basic.model_id == two[1].basic.model_id


def test_a_mismatch_is_healed_towards_the_custom_version(
    pairs: ModelPairs,
    two: tuple[ModelPair, ModelPair],
    backend: Backend,  # noqa: F811
):
    # given
    pairs.move(two[0], expected=None)
    killed_between_the_moves(pairs, backend.catalog, lambda: pairs.move(two[1], two[0].basic.model_id))

    # when
    healed = pairs.heal()

    # then
    assert healed.custom.version == 2
    assert under_the_aliases(backend.catalog) == (2, 2)
    assert pairs.heal() is None


def test_what_a_pair_replaced_is_found_again(pairs: ModelPairs, two: tuple[ModelPair, ModelPair]):
    # given
    pairs.move(two[0], expected=None)
    pairs.move(two[1], two[0].basic.model_id)

    # then
    assert pairs.before(pairs.current()).custom.version == 1


def test_the_first_pair_has_none_before_it(pairs: ModelPairs, two: tuple[ModelPair, ModelPair]):
    # given
    pairs.move(two[0], expected=None)

    # then
    with pytest.raises(CatalogError, match="version 1 has taken no other version's place"):
        pairs.before(pairs.current())


def rolled_back(left: ModelPair, back: ModelPair, pairs: ModelPairs) -> None:
    pairs.move(back, left.basic.model_id, Decision(replaced_tags={ROLLED_BACK: "it calls Uatu dead"}, is_rollback=True))


def notes(catalog: ModelCatalog) -> list[str]:
    return [version.tags.get(ROLLED_BACK, "") for name in (BASIC, CUSTOM) for version in catalog.versions(name)]


def test_a_rollback_that_fails_leaves_no_note_of_it(
    pairs: ModelPairs,
    two: tuple[ModelPair, ModelPair],
    backend: Backend,  # noqa: F811
):
    # given: the registry goes away before the alias has moved
    pairs.move(two[0], expected=None)
    pairs.move(two[1], two[0].basic.model_id)

    class AwayForAliases:
        def __getattr__(self, name: str) -> object:
            return getattr(backend.catalog, name)

        def set_alias(self, name: str, alias: str, version: int) -> None:
            raise CatalogError(f"{name}@{alias} can't be set to {version}")

    pairs._catalog = AwayForAliases()

    # when
    with pytest.raises(CatalogError, match="can't be set"):
        rolled_back(two[1], two[0], pairs)

    # then
    assert notes(backend.catalog) == [""] * 4
    assert under_the_aliases(backend.catalog) == (2, 2)


def test_what_was_rolled_back_comes_back_by_a_persons_decision_alone(
    pairs: ModelPairs,
    two: tuple[ModelPair, ModelPair],
    backend: Backend,  # noqa: F811
):
    # given: a run has looked the pair up before the rollback
    pairs.move(two[0], expected=None)
    pairs.move(two[1], two[0].basic.model_id)
    rolled_back(two[1], two[0], pairs)

    # then
    with pytest.raises(StalePairError, match="version 2 was rolled back: it calls Uatu dead; the aliases were not"):
        pairs.move(two[1], two[0].basic.model_id)
    pairs.move(pairs.of_basic(2), two[0].basic.model_id, Decision())
    assert under_the_aliases(backend.catalog) == (2, 2)
    assert notes(backend.catalog) == [""] * 4


def test_a_foreign_version_under_the_alias_is_named(pairs: ModelPairs, backend: Backend):  # noqa: F811
    # given
    backend.catalog.register(CUSTOM, backend.models[0].model_id, {}, "somebody else's")
    backend.catalog.set_alias(CUSTOM, ALIAS, 1)

    # then
    with pytest.raises(CatalogError, match="version 1 does not tell which version of"):
        pairs.current()


def test_a_foreign_version_under_the_alias_can_be_replaced(
    pairs: ModelPairs,
    two: tuple[ModelPair, ModelPair],
    backend: Backend,  # noqa: F811
):
    # given
    foreign = backend.catalog.register(CUSTOM, backend.models[0].model_id, {}, "somebody else's")
    backend.catalog.set_alias(CUSTOM, ALIAS, foreign.version)

    # when
    pairs.move(two[0], pairs.served_model())

    # then
    assert under_the_aliases(backend.catalog) == (1, 1)


def test_a_reader_sees_the_old_pair_or_the_new_one(
    pairs: ModelPairs,
    two: tuple[ModelPair, ModelPair],
):
    # given
    pairs.move(two[0], expected=None)
    seen: set[tuple[int, int]] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            current = pairs.current()
            seen.add((current.basic.version, current.custom.version))

    reader = threading.Thread(target=read)
    reader.start()

    # when
    for turn in range(MOVES):
        to, left = two[(turn + 1) % 2], two[turn % 2]
        pairs.move(to, left.basic.model_id, Decision(is_rollback=True))
    done.set()
    reader.join()

    # then
    assert seen <= {(1, 1), (2, 2)}
    assert len(seen) == 2
