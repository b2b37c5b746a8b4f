"""The pair of aliases: moved in order, healed after a kill, never taken back by a stale winner."""

from collections.abc import Callable
from pathlib import Path

import pytest

from marvel_assets.registry.base import CatalogError
from marvel_assets.registry.model_pairs import (
    ALIAS,
    CUSTOM_MODEL,
    PROMOTING,
    ROLLED_BACK,
    SERVING_STATUS,
    WRAPS,
    Decision,
    ModelPair,
    ModelPairs,
    StalePairError,
)
from marvel_assets_tests.registry.backends import Backend, config_of


class KilledError(Exception):
    """Stands for the end of the process."""


def pairs_of(backend: Backend, project: Path) -> ModelPairs:
    return ModelPairs(backend.catalog, config_of(backend, project), Path(backend.settings["locks"]))


def two_pairs(backend: Backend, pairs: ModelPairs) -> tuple[ModelPair, ModelPair]:
    """Two registered pairs, of which none is served."""
    catalog, (first, second, third) = backend.catalog, (model.model_id for model in backend.models)

    def registered(basic: str, custom: str) -> ModelPair:
        return ModelPair(
            catalog.register(pairs.basic_name, basic, {}, "basic"),
            catalog.register(pairs.custom_name, custom, {WRAPS: basic}, "custom"),
        )

    return registered(first, second), registered(second, third)


@pytest.fixture
def pairs(embedded: Backend, small_project: Path) -> ModelPairs:
    return pairs_of(embedded, small_project)


@pytest.fixture
def two(embedded: Backend, pairs: ModelPairs) -> tuple[ModelPair, ModelPair]:
    return two_pairs(embedded, pairs)


def under_the_aliases(pairs: ModelPairs) -> tuple[int | None, int | None]:
    found = [pairs._catalog.version_under(name, ALIAS) for name in (pairs.basic_name, pairs.custom_name)]
    return tuple(None if version is None else version.version for version in found)


def killed_between_the_moves(pairs: ModelPairs, move: Callable[[], object]) -> None:
    """Let the process end after the first alias has moved."""
    catalog = pairs._catalog

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


def test_both_aliases_move(pairs: ModelPairs, two: tuple[ModelPair, ModelPair]):
    # when
    is_new = pairs.move(two[0], expected=None)

    # then
    assert is_new
    assert under_the_aliases(pairs) == (1, 1)
    assert pairs.current().basic.model_id == two[0].basic.model_id


def test_moving_to_what_is_served_changes_nothing(pairs: ModelPairs, two: tuple[ModelPair, ModelPair]):
    # given
    pairs.move(two[0], expected=None)

    # then: whatever it was judged against
    assert not pairs.move(two[0], expected="another")


def test_a_stale_winner_can_not_take_a_newer_ones_place(
    pairs: ModelPairs,
    two: tuple[ModelPair, ModelPair],
):
    # given: both were judged when nothing was served
    pairs.move(two[1], expected=None)

    # then
    with pytest.raises(StalePairError, match=r"judged against no champion, but m-\w+ is under latest-model by now"):
        pairs.move(two[0], expected=None)
    assert under_the_aliases(pairs) == (2, 2)


def test_a_kill_between_the_moves_leaves_a_consistent_pair_for_who_follows_the_custom_alias(
    pairs: ModelPairs,
    two: tuple[ModelPair, ModelPair],
):
    # given
    pairs.move(two[0], expected=None)

    # when
    killed_between_the_moves(pairs, lambda: pairs.move(two[1], two[0].basic.model_id))

    # then
    assert under_the_aliases(pairs) == (1, 2)
    assert not pairs.is_whole()
    assert pairs.current().basic.model_id == two[1].basic.model_id


def test_a_mismatch_is_healed_towards_the_custom_version(
    pairs: ModelPairs,
    two: tuple[ModelPair, ModelPair],
):
    # given
    pairs.move(two[0], expected=None)
    killed_between_the_moves(pairs, lambda: pairs.move(two[1], two[0].basic.model_id))

    # when
    found = pairs.reconcile()

    # then
    assert str(found) == (
        "latest-model is at basic version 2 and custom version 2 now: a run was killed between the two moves"
    )
    assert under_the_aliases(pairs) == (2, 2)
    assert pairs.reconcile() is None
    assert notes(pairs) == [""] * 4


def test_what_a_pair_replaced_is_found_again(pairs: ModelPairs, two: tuple[ModelPair, ModelPair]):
    # given
    serve_one_after_the_other(pairs, two)

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


def notes(pairs: ModelPairs) -> list[str]:
    names = (pairs.basic_name, pairs.custom_name)
    return [version.tags.get(ROLLED_BACK, "") for name in names for version in pairs._catalog.versions(name)]


def test_a_rollback_that_fails_leaves_no_note_of_it(
    pairs: ModelPairs,
    two: tuple[ModelPair, ModelPair],
):
    # given: the registry goes away before the alias has moved
    serve_one_after_the_other(pairs, two)

    catalog = pairs._catalog

    class AwayForAliases:
        def __getattr__(self, name: str) -> object:
            return getattr(catalog, name)

        def set_alias(self, name: str, alias: str, version: int) -> None:
            raise CatalogError(f"{name}@{alias} can't be set to {version}")

    pairs._catalog = AwayForAliases()

    # when
    with pytest.raises(CatalogError, match="can't be set"):
        rolled_back(two[1], two[0], pairs)

    # then
    assert notes(pairs) == [""] * 4
    assert under_the_aliases(pairs) == (2, 2)


def test_what_was_rolled_back_comes_back_by_a_persons_decision_alone(
    pairs: ModelPairs,
    two: tuple[ModelPair, ModelPair],
):
    # given: a run has looked the pair up before the rollback
    serve_one_after_the_other(pairs, two)
    rolled_back(two[1], two[0], pairs)

    # then
    with pytest.raises(StalePairError, match="version 2 was rolled back: it calls Uatu dead; the aliases were not"):
        pairs.move(two[1], two[0].basic.model_id)
    pairs.move(pairs.of_basic(2), two[0].basic.model_id, Decision())
    assert under_the_aliases(pairs) == (2, 2)
    assert notes(pairs) == [""] * 4


def serve_one_after_the_other(pairs: ModelPairs, two: tuple[ModelPair, ModelPair]) -> None:
    """The first pair, and the second in its place."""
    pairs.move(two[0], expected=None)
    pairs.move(two[1], two[0].basic.model_id)


def by_hand(pairs: ModelPairs, custom: int, basic: int | None = None) -> None:
    """Move aliases as a person does in MLflow's pages: that of the custom model, or both."""
    pairs._catalog.set_alias(pairs.custom_name, ALIAS, custom)
    if basic is not None:
        pairs._catalog.set_alias(pairs.basic_name, ALIAS, basic)


@pytest.mark.parametrize("basic", [None, 1], ids=["the custom alias", "both aliases"])
def test_an_alias_that_a_person_moved_back_is_a_rollback(
    pairs: ModelPairs, two: tuple[ModelPair, ModelPair], basic: int | None
):
    # given
    serve_one_after_the_other(pairs, two)
    by_hand(pairs, 1, basic)

    # when
    found = pairs.reconcile()

    # then
    moved = f"somebody moved latest-model of {pairs.custom_name} from version 2 to 1"
    assert str(found) == (
        f"latest-model is at basic version 1 and custom version 1 now: {moved}. No run puts it back; the job approve "
        "does"
    )
    assert under_the_aliases(pairs) == (1, 1)
    assert notes(pairs) == [moved, "", moved, ""]
    assert pairs.reconcile() is None
    with pytest.raises(StalePairError, match="version 2 was rolled back: somebody moved"):
        pairs.move(two[1], two[0].basic.model_id)


def test_what_a_person_moved_the_alias_from_is_not_put_back_before_it_was_noted(
    pairs: ModelPairs, two: tuple[ModelPair, ModelPair]
):
    # given
    serve_one_after_the_other(pairs, two)
    by_hand(pairs, 1)

    # then
    with pytest.raises(StalePairError, match="version 2 was rolled back: somebody moved latest-model"):
        pairs.move(two[1], two[0].basic.model_id)


def test_a_person_who_moves_the_alias_forth_again_has_the_last_word(
    pairs: ModelPairs, two: tuple[ModelPair, ModelPair]
):
    # given
    serve_one_after_the_other(pairs, two)
    by_hand(pairs, 1)
    pairs.reconcile()

    # when
    by_hand(pairs, 2)
    pairs.reconcile()

    # then
    assert under_the_aliases(pairs) == (2, 2)
    moved = f"somebody moved latest-model of {pairs.custom_name} from version 1 to 2"
    assert notes(pairs) == ["", moved, "", moved]


def test_a_rollback_goes_back_from_a_version_that_a_person_served_first(
    pairs: ModelPairs, two: tuple[ModelPair, ModelPair]
):
    # given
    pairs.move(two[0], expected=None)
    by_hand(pairs, 2)
    pairs.reconcile()

    # then
    assert pairs.before(pairs.current()).custom.version == 1


def test_a_basic_alias_that_a_person_moved_alone_is_put_back_with_a_word(
    pairs: ModelPairs, two: tuple[ModelPair, ModelPair]
):
    # given
    serve_one_after_the_other(pairs, two)
    pairs._catalog.set_alias(pairs.basic_name, ALIAS, 1)

    # when
    found = pairs.reconcile()

    # then
    assert found.reason == f"somebody moved the alias of {pairs.basic_name}, but that of {pairs.custom_name} decides"
    assert under_the_aliases(pairs) == (2, 2)


def test_a_wrapper_that_a_person_went_back_from_leaves_the_basic_version_in_service(
    pairs: ModelPairs, embedded: Backend
):
    # given: both wrap one basic version
    first, second, third = (model.model_id for model in embedded.models)
    basic = embedded.catalog.register(pairs.basic_name, first, {}, "basic")
    old, new = (
        ModelPair(basic, embedded.catalog.register(pairs.custom_name, custom, {WRAPS: first}, "custom"))
        for custom in (second, third)
    )
    pairs.move(old, expected=None)
    pairs.move(new, first)
    by_hand(pairs, 1)

    # when
    pairs.reconcile()

    # then
    assert under_the_aliases(pairs) == (1, 1)
    assert notes(pairs)[0] == ""
    with pytest.raises(StalePairError, match=rf"{CUSTOM_MODEL} version 2 was rolled back"):
        pairs.move(new, first)


def test_a_kill_before_the_alias_moved_is_no_persons_move(pairs: ModelPairs, two: tuple[ModelPair, ModelPair]):
    # given: the intent is noted, and nothing has moved
    pairs.move(two[0], expected=None)
    pairs._catalog.set_tags(pairs.custom_name, 2, {SERVING_STATUS: PROMOTING})

    # then
    assert pairs.reconcile() is None
    assert pairs.move(two[1], two[0].basic.model_id)
    assert under_the_aliases(pairs) == (2, 2)


def test_a_pair_that_is_not_ready_is_named_with_a_way_out(
    pairs: ModelPairs, two: tuple[ModelPair, ModelPair], embedded: Backend
):
    # given
    pairs.move(two[0], expected=None)
    embedded.set_status(pairs.basic_name, 1, "FAILED_REGISTRATION")

    # then
    with pytest.raises(
        CatalogError, match=r"version 1 is READY, and wraps version 1 of .* which is FAILED_REGISTRATION; put a version"
    ):
        pairs.reconcile()


def test_a_foreign_version_under_the_alias_is_named(pairs: ModelPairs, embedded: Backend):
    # given
    embedded.catalog.register(pairs.custom_name, embedded.models[0].model_id, {}, "somebody else's")
    embedded.catalog.set_alias(pairs.custom_name, ALIAS, 1)

    # then
    with pytest.raises(CatalogError, match="version 1 does not tell which version of"):
        pairs.current()


def test_a_foreign_version_under_the_alias_can_be_replaced(
    pairs: ModelPairs,
    two: tuple[ModelPair, ModelPair],
    embedded: Backend,
):
    # given
    foreign = embedded.catalog.register(pairs.custom_name, embedded.models[0].model_id, {}, "somebody else's")
    embedded.catalog.set_alias(pairs.custom_name, ALIAS, foreign.version)

    # when
    pairs.move(two[0], pairs.served_model())

    # then
    assert under_the_aliases(pairs) == (1, 1)
