"""The pair of versions that is served: a basic model, and the custom model that wraps it.

Two aliases can't be moved in one step. So the custom alias is the one that counts: whoever follows it to the custom
version finds there which basic model belongs to it, and has a consistent pair in a single read. The basic alias is
moved after it; where a killed run left it behind, the pair is still told by the custom alias, and ``heal`` brings the
basic alias after.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from marvel_assets.registry.base import READY, CatalogError, CatalogVersion
from marvel_assets.utils.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from marvel_assets.config import ProjectConfig
    from marvel_assets.registry.base import ModelCatalog

BASIC_MODEL = "marvel_character_model_basic"
CUSTOM_MODEL = "marvel_character_model_custom"
ALIAS = "latest-model"

WRAPS = "basic_model_id"
"""Tag of a custom version: the logged model that it wraps."""

REPLACES = "replaces"
"""Tag of a custom version: the version whose place it took. ``rollback`` goes back along it."""


ROLLED_BACK = "rolled_back_why"
"""Tag of both versions of a pair that a person has taken out of service. No run puts it back; the job approve does."""


class StalePairError(CatalogError):
    """The aliases have moved since the pair was judged, or it was rolled back."""


@dataclass(frozen=True)
class ModelPair:
    """A basic version and the custom version that wraps it."""

    basic: CatalogVersion
    custom: CatalogVersion

    def __str__(self) -> str:
        return f"basic version {self.basic.version} and custom version {self.custom.version}"


@dataclass(frozen=True)
class Decision:
    """What a person decided about the pair that is served.

    Attributes:
        tags: of the pair that is served from now on.
        replaced_tags: of the pair that it replaces.
        is_rollback: the pair was served before, and keeps its note of what it replaced then.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    replaced_tags: Mapping[str, str] = field(default_factory=dict)
    is_rollback: bool = False


class ModelPairs:
    """The pairs of one environment."""

    def __init__(self, catalog: ModelCatalog, config: ProjectConfig, locks: Path) -> None:
        self._catalog = catalog
        self._locks = locks
        self.basic_name, self.custom_name = config.qualified(BASIC_MODEL), config.qualified(CUSTOM_MODEL)

    def current(self) -> ModelPair | None:
        """The pair that is served: the custom version under the alias, and the basic version that it wraps.

        Raises:
            CatalogError: the custom version under the alias does not tell what it wraps.
        """
        custom = self._catalog.version_under(self.custom_name, ALIAS)
        return None if custom is None else self._of(custom)

    def served_model(self) -> str | None:
        """The basic model's id, as the custom version under the alias tells it.

        Returns:
            '' where that version does not tell it, None where nothing is under the alias.
        """
        custom = self._catalog.version_under(self.custom_name, ALIAS)
        return None if custom is None else custom.tags.get(WRAPS, "")

    def of_basic(self, version: int) -> ModelPair:
        """The pair of a basic version, by its number.

        Raises:
            CatalogError: there is no such version, or nothing that is READY wraps it.
        """
        for basic in self._catalog.versions(self.basic_name):
            if basic.version == version:
                return self.around(basic)
        raise CatalogError(f"{self.basic_name} has no version {version}; materialise basic_model_version first.")

    def of_custom(self, version: int) -> ModelPair:
        """The pair of a custom version, by its number.

        Raises:
            CatalogError: there is no such version, or it does not tell what it wraps.
        """
        for custom in self._catalog.versions(self.custom_name):
            if custom.version == version:
                return self._of(custom)
        raise CatalogError(f"{self.custom_name} has no version {version}; materialise survival_predictions again.")

    def around(self, basic: CatalogVersion) -> ModelPair:
        """The newest pair of a basic version.

        Raises:
            CatalogError: nothing that is READY wraps it.
        """
        for custom in self._catalog.versions_tagged(self.custom_name, WRAPS, basic.model_id):
            if custom.status == READY:
                return ModelPair(basic, custom)
        raise CatalogError(
            f"No version of {self.custom_name} wraps {self.basic_name} version {basic.version}; materialise "
            "custom_model_version."
        )

    def before(self, pair: ModelPair) -> ModelPair:
        """The pair whose place a pair took.

        Raises:
            CatalogError: it took no other's place.
        """
        number = pair.custom.tags.get(REPLACES)
        for custom in self._catalog.versions(self.custom_name):
            if number is not None and custom.version == int(number):
                return self._of(custom)
        served = f"{self.custom_name} version {pair.custom.version}"
        raise CatalogError(f"{served} has taken no other version's place: there is no earlier pair.")

    def move(self, to: ModelPair, expected: str | None, decision: Decision | None = None) -> bool:
        """Put a pair under the aliases, the custom one first.

        A person's decision is noted on the versions once the custom alias has moved, so that a move that fails leaves
        no note of what did not happen.

        Args:
            to: a pair whose versions are READY.
            expected: the basic model's id of the pair that is to be replaced, as ``served_model`` has it.
            decision: a person's; without one, a pair that was rolled back stays out of service.

        Returns:
            Whether the pair is a new one.

        Raises:
            StalePairError: another pair is served than the expected one, or this one was rolled back.
        """
        with self._one_at_a_time():
            current = self._catalog.version_under(self.custom_name, ALIAS)
            is_new = current is None or current.version != to.custom.version
            if is_new:
                self._check_may_replace(current, to, expected, decision)
                replaced = None if current is None or current.tags.get(WRAPS) == to.basic.model_id else current
                if replaced is not None and not (decision and decision.is_rollback):
                    self._catalog.set_tags(self.custom_name, to.custom.version, {REPLACES: str(replaced.version)})
                self._catalog.set_alias(self.custom_name, ALIAS, to.custom.version)
                if decision and decision.replaced_tags and replaced is not None:
                    self._note(self._of(replaced), decision.replaced_tags)
            self._point_basic(to)
            if decision:
                is_restored = any(version.tags.get(ROLLED_BACK) for version in (to.basic, to.custom))
                self._note(to, {**decision.tags, **({ROLLED_BACK: ""} if is_restored else {})})
        return is_new

    def _check_may_replace(
        self, current: CatalogVersion | None, to: ModelPair, expected: str | None, decision: Decision | None
    ) -> None:
        served = None if current is None else current.tags.get(WRAPS, "")
        if served not in {expected, to.basic.model_id}:
            raise StalePairError(
                f"{self.basic_name} version {to.basic.version} was judged against {expected or 'no champion'}, but "
                f"{served or 'none'} is under {ALIAS} by now; the aliases were not moved. Run again: it will be "
                "judged against that one."
            )
        # Asked anew: it may have been rolled back since it was looked up.
        versions = self._catalog.versions(self.basic_name) if decision is None else ()
        tags = next((version.tags for version in versions if version.version == to.basic.version), {})
        if reason := tags.get(ROLLED_BACK):
            raise StalePairError(
                f"{self.basic_name} version {to.basic.version} was rolled back: {reason}; the aliases were not moved. "
                "Put it back with the job approve, or fit another model."
            )

    def _note(self, pair: ModelPair, tags: Mapping[str, str]) -> None:
        for version in (pair.custom, pair.basic) if tags else ():
            self._catalog.set_tags(version.name, version.version, tags)

    def is_whole(self) -> bool:
        """Whether both aliases are set to one pair, or none is set."""
        current, basic = self.current(), self._catalog.version_under(self.basic_name, ALIAS)
        return current is None or (basic is not None and basic.version == current.basic.version)

    def heal(self) -> ModelPair | None:
        """Bring the basic alias after the custom one, where a killed run left it behind.

        Returns:
            The pair, where something was to be done.
        """
        with self._one_at_a_time():
            current = self.current()
            return current if current is not None and self._point_basic(current) else None

    def _point_basic(self, pair: ModelPair) -> bool:
        found = self._catalog.version_under(self.basic_name, ALIAS)
        if found is not None and found.version == pair.basic.version:
            return False
        self._catalog.set_alias(self.basic_name, ALIAS, pair.basic.version)
        return True

    def _of(self, custom: CatalogVersion) -> ModelPair:
        wrapped = custom.tags.get(WRAPS)
        for basic in self._catalog.versions(self.basic_name):
            if basic.model_id == wrapped:
                return ModelPair(basic, custom)
        raise CatalogError(
            f"{custom.name} version {custom.version} does not tell which version of {self.basic_name} it wraps (tag "
            f"{WRAPS}: {wrapped}); put a version of this project under {ALIAS} with the job approve"
        )

    def _one_at_a_time(self) -> AbstractContextManager[None]:
        return exclusive(self._locks, f"pair-{self.custom_name}")
