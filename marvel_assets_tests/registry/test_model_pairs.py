"""The pair of aliases: moved in order, completed after a kill, never taken back by a run that came too late."""

import re
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marvel_assets.registry.base import ModelRegistry, RegistryError
from marvel_assets.registry.model_pairs import (
    ALIAS,
    BASIC_MODEL,
    BASIC_MODEL_ID,
    CUSTOM_MODEL,
    ROLLBACK_REASON,
    ModelPair,
    ModelPairs,
    StalePairError,
)
from marvel_assets_tests.registry.backends import Backend, pairs_of

Two = tuple[ModelPair, ModelPair]
UATU = "it calls Uatu dead (pat)"


@pytest.fixture
def registry(embedded: Backend) -> ModelRegistry:
    return embedded.registry


@pytest.fixture
def pairs(embedded: Backend, small_project: Path) -> ModelPairs:
    return pairs_of(embedded, small_project)


@pytest.fixture
def two(registry: ModelRegistry, embedded: Backend, pairs: ModelPairs) -> Two:
    """Two registered pairs, of which none is served."""
    first, second, third = (model.model_id for model in embedded.models)

    def registered(basic: str, custom: str) -> ModelPair:
        return ModelPair(
            registry.register(pairs.basic_name, basic, {}, "basic"),
            registry.register(pairs.custom_name, custom, {BASIC_MODEL_ID: basic}, "custom"),
        )

    return registered(first, second), registered(second, third)


@pytest.fixture
def served(pairs: ModelPairs, two: Two) -> Two:
    """The two, of which the second has taken the first one's place."""
    pairs.set_aliases(two[0], expected="")
    pairs.set_aliases(two[1], two[0].basic.model_id)
    return two


def aliases(pairs: ModelPairs) -> tuple[int | None, ...]:
    found = [pairs._registry.get_version_by_alias(name, ALIAS) for name in (pairs.basic_name, pairs.custom_name)]
    return tuple(version and version.version for version in found)


def notes(pairs: ModelPairs) -> list[str]:
    """Why versions are out of service: of the basic model 2 and 1, of the custom model 2 and 1."""
    versions = (pairs._registry.search_versions(name) for name in (pairs.basic_name, pairs.custom_name))
    return [version.tags.get(ROLLBACK_REASON, "") for found in versions for version in found]


def followed(pairs: ModelPairs) -> str:
    return f"the alias of {pairs.basic_name} followed that of {pairs.custom_name}, which decides"


def test_both_aliases_move(pairs: ModelPairs, two: Two):
    # given
    assert pairs.current() is None
    assert pairs.champion_model_id() == ""

    # when
    is_new = pairs.set_aliases(two[0], expected="")

    # then
    assert is_new
    assert aliases(pairs) == (1, 1)
    assert pairs.current().basic.model_id == pairs.champion_model_id() == two[0].basic.model_id


def test_a_pair_of_another_environment_is_refused(pairs: ModelPairs, two: Two):
    # given
    basic = replace(two[0].basic, name=f"marvel_acc.characters.{BASIC_MODEL}")

    # then
    with pytest.raises(RegistryError, match=f"marvel_acc.characters.{BASIC_MODEL} can't be served as .* in this"):
        pairs.set_aliases(two[0]._replace(basic=basic), expected="")
    assert aliases(pairs) == (None, None)


def test_promoting_what_is_served_changes_nothing(pairs: ModelPairs, served: Two):
    # then: whatever it was compared with
    assert not pairs.set_aliases(served[1], expected="another")


def test_who_was_compared_with_another_champion_does_not_take_the_newer_ones_place(pairs: ModelPairs, two: Two):
    # given: both were compared when nothing was served
    pairs.set_aliases(two[1], expected="")

    # then
    with pytest.raises(StalePairError, match=r"compared with no champion, but m-\w+ is under latest-model now"):
        pairs.set_aliases(two[0], expected="")
    assert aliases(pairs) == (2, 2)


class Killed(BaseException):
    """The process ends here."""


class DyingRegistry:
    """A registry whose caller is killed when it has written so many times, and would again."""

    def __init__(self, registry: ModelRegistry, writes: int) -> None:
        self.registry, self.left = registry, writes

    def __getattr__(self, name: str) -> Any:
        if name in {"set_tags", "set_alias"}:
            self.left -= 1
            if self.left < 0:
                raise Killed
        return getattr(self.registry, name)


def dying_after(writes: int, pairs: ModelPairs) -> ModelPairs:
    doomed = copy(pairs)
    doomed._registry = DyingRegistry(pairs._registry, writes)
    return doomed


@pytest.mark.parametrize("writes", range(5))
def test_a_promotion_that_was_killed_is_completed_or_done_again(pairs: ModelPairs, two: Two, writes: int):
    # given
    pairs.set_aliases(two[0], expected="")
    with pytest.raises(Killed):
        dying_after(writes, pairs).set_aliases(two[1], two[0].basic.model_id)
    assert pairs.current().basic.version == (1 if writes < 2 else 2)  # for whoever follows the custom alias

    # when
    found = pairs.reconcile_aliases()

    # then: it is not taken for a person's move
    assert found == (f"latest-model is at {two[1]} now: {followed(pairs)}" if writes == 2 else None)
    assert pairs.reconcile_aliases() is None
    pairs.set_aliases(two[1], two[0].basic.model_id)
    assert aliases(pairs) == (2, 2)
    assert notes(pairs) == [""] * 4


@pytest.mark.parametrize("writes", range(7))
def test_a_rollback_that_was_killed_is_completed_with_its_reason_or_did_not_begin(
    pairs: ModelPairs, served: Two, writes: int
):
    # given
    with pytest.raises(Killed):
        dying_after(writes, pairs).set_aliases(served[0], served[1].basic.model_id, {"restored_by": "pat"}, UATU)

    # when: a run comes before the rollback is completed, or after that
    if writes == 3:
        with pytest.raises(StalePairError, match=rf"version 2 was rolled back: {re.escape(UATU)}; the aliases were"):
            pairs.set_aliases(served[1], served[0].basic.model_id)
    found = pairs.reconcile_aliases()

    # then
    if writes < 3:
        assert (found, aliases(pairs), notes(pairs)) == (None, (2, 2), [""] * 4)
        return
    assert found is None or f"now: {UATU}. No run restores version 2" in found
    assert (found is None) == (writes >= 5)
    assert pairs.reconcile_aliases() is None
    assert (aliases(pairs), notes(pairs)) == ((1, 1), [UATU, "", UATU, ""])
    with pytest.raises(StalePairError, match=rf"version 2 was rolled back: {re.escape(UATU)}"):
        pairs.set_aliases(served[1], served[0].basic.model_id)


def test_what_a_pair_replaced_is_found_again(pairs: ModelPairs, served: Two):
    # when
    earlier = pairs.previous(pairs.for_custom_version(served[1].custom.version))

    # then
    assert earlier.custom.version == 1
    with pytest.raises(RegistryError, match="version 1 has not replaced another version"):
        pairs.previous(earlier)


@pytest.mark.usefixtures("two")
def test_a_number_that_no_version_has_is_reported_with_those_there_are(pairs: ModelPairs):
    with pytest.raises(RegistryError, match=rf"{BASIC_MODEL} has no version 9; it has 2, 1\."):
        pairs.for_basic_version(9)


def test_a_new_wrapper_has_replaced_what_the_wrapper_before_it_had_replaced(
    registry: ModelRegistry, pairs: ModelPairs, served: Two, embedded: Backend
):
    # given
    basic = served[1].basic
    custom = registry.register(
        pairs.custom_name, embedded.models[0].model_id, {BASIC_MODEL_ID: basic.model_id}, "custom"
    )

    # when
    pairs.set_aliases(ModelPair(basic, custom), basic.model_id)

    # then
    assert pairs.previous(pairs.current()).basic.version == 1


def test_what_was_rolled_back_comes_back_by_a_persons_decision_alone(pairs: ModelPairs, served: Two):
    # given: a run has looked the pair up before the rollback
    pairs.set_aliases(served[0], served[1].basic.model_id, {}, "it calls Uatu dead")
    assert notes(pairs) == ["it calls Uatu dead", "", "it calls Uatu dead", ""]

    # then
    with pytest.raises(StalePairError, match="version 2 was rolled back: it calls Uatu dead; the aliases were not"):
        pairs.set_aliases(served[1], served[0].basic.model_id)
    pairs.set_aliases(pairs.for_basic_version(2), served[0].basic.model_id, decision={})
    assert aliases(pairs) == (2, 2)
    assert notes(pairs) == [""] * 4


@pytest.mark.parametrize("moved", [("custom",), ("custom", "basic")], ids=["the custom alias", "both aliases"])
def test_an_alias_that_a_person_moved_back_is_a_rollback(
    registry: ModelRegistry, pairs: ModelPairs, served: Two, moved: tuple[str, ...]
):
    # given
    for kind in moved:
        registry.set_alias(getattr(pairs, f"{kind}_name"), ALIAS, 1)

    # when: a run comes before it was noted, then it is noted
    with pytest.raises(StalePairError, match="version 2 was rolled back: somebody moved"):
        pairs.set_aliases(served[1], served[0].basic.model_id)
    found = pairs.reconcile_aliases()

    # then
    reason = f"somebody moved latest-model of {pairs.custom_name} from version 2 to 1"
    moved = "latest-model is at basic version 1 and custom version 1 now"
    assert found == f"{moved}: {reason}. No run restores version 2; the job approve does"
    assert aliases(pairs) == (1, 1)
    assert notes(pairs) == [reason, "", reason, ""]
    assert pairs.reconcile_aliases() is None
    with pytest.raises(StalePairError, match="version 2 was rolled back: somebody moved"):
        pairs.set_aliases(served[1], served[0].basic.model_id)

    # and when the person moves it forth again
    registry.set_alias(pairs.custom_name, ALIAS, 2)
    pairs.reconcile_aliases()

    # then
    assert aliases(pairs) == (2, 2)
    assert notes(pairs) == ["", reason.replace("2 to 1", "1 to 2"), "", reason.replace("2 to 1", "1 to 2")]


def test_a_removed_alias_is_set_again(registry: ModelRegistry, pairs: ModelPairs, served: Two):
    # given
    registry._client.delete_registered_model_alias(pairs.custom_name, ALIAS)

    # when
    pairs.set_aliases(served[1], pairs.champion_model_id())

    # then
    assert aliases(pairs) == (2, 2)


@pytest.mark.usefixtures("served")
def test_a_basic_alias_that_a_person_moved_alone_is_put_back_with_the_reason(
    registry: ModelRegistry, pairs: ModelPairs
):
    # given
    registry.set_alias(pairs.basic_name, ALIAS, 1)

    # when
    found = pairs.reconcile_aliases()

    # then
    assert found == f"latest-model is at basic version 2 and custom version 2 now: {followed(pairs)}"
    assert aliases(pairs) == (2, 2)


def test_a_wrapper_that_a_person_went_back_from_leaves_the_basic_version_in_service(
    registry: ModelRegistry, pairs: ModelPairs, embedded: Backend
):
    # given: both wrap one basic version
    first, second, third = (model.model_id for model in embedded.models)
    basic = registry.register(pairs.basic_name, first, {}, "basic")
    old, new = (
        ModelPair(basic, registry.register(pairs.custom_name, custom, {BASIC_MODEL_ID: first}, "custom"))
        for custom in (second, third)
    )
    pairs.set_aliases(old, expected="")
    pairs.set_aliases(new, first)
    registry.set_alias(pairs.custom_name, ALIAS, 1)

    # when
    pairs.reconcile_aliases()

    # then
    assert aliases(pairs) == (1, 1)
    assert pairs.for_basic_version(1).custom.version == 1
    assert notes(pairs)[0] == ""
    with pytest.raises(StalePairError, match=rf"{CUSTOM_MODEL} version 2 was rolled back"):
        pairs.set_aliases(new, first)


def test_a_foreign_version_under_the_alias_is_named_and_can_be_replaced(
    registry: ModelRegistry, pairs: ModelPairs, two: Two, embedded: Backend
):
    # given
    foreign = registry.register(pairs.custom_name, embedded.models[0].model_id, {}, "somebody else's")
    registry.set_alias(pairs.custom_name, ALIAS, foreign.version)
    with pytest.raises(RegistryError, match=f"version {foreign.version} has no version of {pairs.basic_name} that it"):
        pairs.current()

    # when
    pairs.set_aliases(two[0], pairs.champion_model_id())

    # then
    assert aliases(pairs) == (1, 1)
