"""The pair of versions that is served: a basic model, and the custom model that wraps it.

Two aliases can't be moved in one step. So the custom alias is the one that counts: whoever follows it to the custom
version finds there which basic model belongs to it, and has a consistent pair in a single read. The basic alias is
moved after it; where a killed run left it behind, the custom alias still says which pair is served.

A tag of the custom versions tells a killed move from a person's: ``move`` notes what it is about to promote before it
moves the alias, and what is served afterwards. A person who moves the alias in MLflow's pages leaves no such note.
``reconcile`` completes the former, and takes the latter for a rollback.
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

SERVING_STATUS = "serving_status"
"""Tag of a custom version: PROMOTING before the alias is moved to it, SERVING once both aliases are, then REPLACED."""

PROMOTING, SERVING, REPLACED = "promoting", "serving", "replaced"

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
class Reconciled:
    """The pair that is served, and why the aliases were not as the last move had left them."""

    pair: ModelPair
    reason: str

    def __str__(self) -> str:
        return f"{ALIAS} is at {self.pair} now: {self.reason}"


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
        """The basic model's id as the custom version under the alias has it; '' without one, None without a version."""
        custom = self._catalog.version_under(self.custom_name, ALIAS)
        return None if custom is None else custom.tags.get(WRAPS, "")

    def of_basic(self, version: int) -> ModelPair:
        """The pair of a basic version, by its number.

        Raises:
            CatalogError: there is no such version, or nothing that is READY wraps it.
        """
        if basic := self._catalog.find_version(self.basic_name, version):
            return self.around(basic)
        raise CatalogError(f"{self.basic_name} has no version {version}; materialise basic_model_version first.")

    def of_custom(self, version: int) -> ModelPair:
        """The pair of a custom version, by its number.

        Raises:
            CatalogError: there is no such version, or it does not tell what it wraps.
        """
        if custom := self._catalog.find_version(self.custom_name, version):
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
        if number and (custom := self._catalog.find_version(self.custom_name, int(number))):
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
                intent = {SERVING_STATUS: PROMOTING}
                if replaced is not None and not (decision and decision.is_rollback):
                    intent[REPLACES] = str(replaced.version)
                self._catalog.set_tags(self.custom_name, to.custom.version, intent)
                self._catalog.set_alias(self.custom_name, ALIAS, to.custom.version)
                if decision and decision.replaced_tags and replaced is not None:
                    self._note(self._of(replaced), decision.replaced_tags)
            self._point_basic(to)
            if current is None or is_new or current.tags.get(SERVING_STATUS) != SERVING:
                self._note_service(to)
            if decision:
                self._note(to, {**decision.tags, **self._restored(to)})
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
        if decision is not None:
            return
        # Asked anew: it may have been taken out of service since it was looked up.
        for version, name in ((to.basic, self.basic_name), (to.custom, self.custom_name)):
            tags = (self._catalog.find_version(name, version.version) or version).tags
            moved = f"somebody moved {ALIAS} to another version" if tags.get(SERVING_STATUS) == SERVING else ""
            if reason := tags.get(ROLLED_BACK) or moved:
                raise StalePairError(
                    f"{name} version {version.version} was rolled back: {reason}; the aliases were not moved. "
                    "Put it back with the job approve, or fit another model."
                )

    def _note(self, pair: ModelPair, tags: Mapping[str, str]) -> None:
        for version in (pair.custom, pair.basic) if tags else ():
            self._catalog.set_tags(version.name, version.version, tags)

    @staticmethod
    def _restored(pair: ModelPair) -> Mapping[str, str]:
        return {ROLLED_BACK: ""} if any(each.tags.get(ROLLED_BACK) for each in (pair.basic, pair.custom)) else {}

    def is_whole(self) -> bool:
        """Whether both aliases are set to one pair, or none is set."""
        current, basic = self.current(), self._catalog.version_under(self.basic_name, ALIAS)
        return current is None or (basic is not None and basic.version == current.basic.version)

    def reconcile(self) -> Reconciled | None:
        """Bring tags and the basic alias after the custom alias, which decides what is served.

        What a person moved the custom alias away from is noted as rolled back, so that no run puts it back.

        Returns:
            What was found, where something was to be done.

        Raises:
            CatalogError: what is under the custom alias is not a whole pair that is READY.
        """
        with self._one_at_a_time():
            pair = self.current()
            if pair is None:
                return None
            status = pair.custom.tags.get(SERVING_STATUS)
            left = [] if status in {SERVING, PROMOTING} else self._serving_but(pair)
            reason = self._note_rolled_back(left[0], pair) if left else ""
            if self._point_basic(pair) and not left:
                reason = "a run was killed between the two moves"
                if status == SERVING:
                    reason = f"somebody moved the alias of {self.basic_name}, but that of {self.custom_name} decides"
            if status != SERVING:
                self._note_service(pair)
            return Reconciled(pair, reason) if reason else None

    def _note_rolled_back(self, left: CatalogVersion, to: ModelPair) -> str:
        reason = f"somebody moved {ALIAS} of {self.custom_name} from version {left.version} to {to.custom.version}"
        wrapped = left.tags.get(WRAPS, "")
        basics = self._catalog.versions(self.basic_name, model_id=wrapped) if wrapped != to.basic.model_id else ()
        for version in (*basics, left):
            self._catalog.set_tags(version.name, version.version, {ROLLED_BACK: reason})
        self._note(to, self._restored(to))
        if to.custom.version > left.version and REPLACES not in to.custom.tags:
            self._catalog.set_tags(to.custom.name, to.custom.version, {REPLACES: str(left.version)})
        return f"{reason}. No run puts it back; the job approve does"

    def _note_service(self, pair: ModelPair) -> None:
        """Note which custom version is served, the others first: so one at most is noted as SERVING at any time."""
        for version in self._serving_but(pair):
            self._catalog.set_tags(version.name, version.version, {SERVING_STATUS: REPLACED})
        self._catalog.set_tags(pair.custom.name, pair.custom.version, {SERVING_STATUS: SERVING})

    def _serving_but(self, pair: ModelPair) -> list[CatalogVersion]:
        """The custom versions that are noted as served, and are not this pair's."""
        noted = self._catalog.versions_tagged(self.custom_name, SERVING_STATUS, SERVING)
        return [version for version in noted if version.version != pair.custom.version]

    def _point_basic(self, pair: ModelPair) -> bool:
        found = self._catalog.version_under(self.basic_name, ALIAS)
        if found is not None and found.version == pair.basic.version:
            return False
        self._catalog.set_alias(self.basic_name, ALIAS, pair.basic.version)
        return True

    def _of(self, custom: CatalogVersion) -> ModelPair:
        wrapped = custom.tags.get(WRAPS)
        problem = f"does not tell which version of {self.basic_name} it wraps (tag {WRAPS}: {wrapped})"
        # Mostly it is under the alias: one call, where a search is slower and may not know a new version yet.
        basic = self._catalog.version_under(self.basic_name, ALIAS)
        if wrapped and (basic is None or basic.model_id != wrapped):
            basic = next(iter(self._catalog.versions(self.basic_name, model_id=wrapped)), None)
        if basic and basic.model_id == wrapped:
            if custom.status == basic.status == READY:
                return ModelPair(basic, custom)
            problem = f"is {custom.status}, and wraps version {basic.version} of {basic.name}, which is {basic.status}"
        raise CatalogError(
            f"{custom.name} version {custom.version} {problem}; put a version of this project under {ALIAS} with the "
            "job approve, or remove the alias"
        )

    def _one_at_a_time(self) -> AbstractContextManager[None]:
        return exclusive(self._locks, f"pair-{self.custom_name}")
