"""The pair of versions that is served: a basic model, and the custom model that wraps it.

Two aliases can't be moved atomically, so the custom alias decides: its version's tags name the basic model that it
wraps, which gives a consistent pair with a single read. The basic alias is moved second.

A killed run must not look like a person who moved the alias in MLflow's pages. Before ``set_aliases`` moves the alias,
it tags the new version as being promoted, or the old pair as rolled back; afterwards it points a second alias,
``last-promoted``, at the version. A person does neither. ``reconcile_aliases`` completes a promotion or a rollback that
was killed, and treats a person's move as a rollback.
"""

from collections.abc import Mapping
from typing import NamedTuple

from marvel_assets.config import ProjectConfig
from marvel_assets.registry.base import READY, ModelRegistry, ModelVersion, RegistryError
from marvel_assets.utils.locks import file_lock

BASIC_MODEL = "marvel_character_model_basic"
CUSTOM_MODEL = "marvel_character_model_custom"
ALIAS = "latest-model"

LAST_PROMOTED = "last-promoted"  # alias of the custom model: the version that the last completed move left under ALIAS
BASIC_MODEL_ID = "basic_model_id"  # tag of a custom version: the logged model that it wraps
REPLACED_VERSION = "replaces"
"""Tag of a custom version: the last version of another basic model before it, to which ``rollback`` returns."""

SERVING_STATUS, PROMOTING, PROMOTED = "serving_status", "promoting", "promoted"
"""Tag of a custom version, and its values: while the aliases are moved to it, and afterwards."""

ROLLBACK_REASON = "rollback_reason"
"""Tag of both versions of a pair that a person took out of service. No run restores it; the job approve does."""


class StalePairError(RegistryError):
    """The aliases have moved since the pair was evaluated, or it was rolled back."""


class ModelPair(NamedTuple):
    """A basic version and the custom version that wraps it."""

    basic: ModelVersion
    custom: ModelVersion

    def __str__(self) -> str:
        return f"basic version {self.basic.version} and custom version {self.custom.version}"


class ModelPairs:
    """The pairs of one environment. A RegistryError says that there is no such version, or no counterpart of it."""

    def __init__(self, registry: ModelRegistry, config: ProjectConfig) -> None:
        self._registry = registry
        self.basic_name, self.custom_name = config.qualified(BASIC_MODEL), config.qualified(CUSTOM_MODEL)

    def current(self) -> ModelPair | None:
        """The pair that is served: the custom version under the alias, and the basic version that it wraps."""
        custom = self._custom_under(ALIAS)
        return self._pair_of(custom) if custom else None

    def champion_model_id(self) -> str:
        """The id of the basic model that the custom version under the alias wraps; '' if there is none."""
        return _wrapped_by(self._custom_under(ALIAS))

    def for_basic_version(self, version: int | None = None) -> ModelPair:
        """The newest pair of a basic version, by default of the newest.

        A wrapper that was rolled back alone is returned only if there is no other.
        """
        basics = self._registry.search_versions(self.basic_name)
        if version is None:  # other clients' versions lack the tag, and nothing wraps them
            basics = [each for each in basics if "model_id" in each.tags]
        basic = next((each for each in basics if version in {None, each.version}), None)
        if basic is None:
            known = ", ".join(str(each.version) for each in basics) or "none: materialise basic_model_version"
            raise RegistryError(f"{self.basic_name} has no version {version or 'yet'}; it has {known}.")
        customs = self._registry.search_versions(self.custom_name)  # not every registry searches by a tag
        wrappers = [custom for custom in customs if custom.status == READY and _wrapped_by(custom) == basic.model_id]
        if not wrappers:
            raise RegistryError(
                f"No version of {self.custom_name} wraps {self.basic_name} version {basic.version}; materialise "
                "custom_model_version."
            )
        as_the_basic = {None, "", basic.tags.get(ROLLBACK_REASON)}
        return ModelPair(basic, min(wrappers, key=lambda custom: custom.tags.get(ROLLBACK_REASON) not in as_the_basic))

    def for_custom_version(self, version: int) -> ModelPair:
        """The pair of a custom version, by its number."""
        if custom := self._registry.get_version(self.custom_name, version):
            return self._pair_of(custom)
        raise RegistryError(f"{self.custom_name} has no version {version}; materialise survival_predictions again.")

    def previous(self, pair: ModelPair) -> ModelPair:
        """The pair that a pair replaced."""
        number = pair.custom.tags.get(REPLACED_VERSION)
        if number and (custom := self._registry.get_version(self.custom_name, int(number))):
            return self._pair_of(custom)
        served = f"{self.custom_name} version {pair.custom.version}"
        raise RegistryError(f"{served} has not replaced another version: there is no earlier pair.")

    def set_aliases(
        self, pair: ModelPair, expected: str | None, decision: dict[str, str] | None = None, rollback_reason: str = ""
    ) -> bool:
        """Point both aliases at a pair, the custom one first; returns whether that moved.

        Args:
            pair: versions that are READY.
            expected: the basic model's id of the pair to replace, as ``champion_model_id`` returns it; None: any pair.
            decision: tags of a person's decision; without one, a pair that was rolled back stays out of service.
            rollback_reason: why the replaced pair is taken out of service; '' if this is not a rollback.

        Raises:
            StalePairError: another pair than the expected one is served, or this pair was rolled back.
            RegistryError: the pair belongs to another environment.
        """
        if pair.basic.name != self.basic_name:
            raise RegistryError(
                f"{pair.basic.name} can't be served as {self.basic_name}; the aliases were not moved. Materialise "
                "basic_model_version and custom_model_version in this environment."
            )
        with file_lock(self._registry.locks, f"pair-{self.custom_name}"):
            current = self._custom_under(ALIAS)
            status = pair.custom.tags.get(SERVING_STATUS, "")
            is_new = current is None or current.version != pair.custom.version
            if is_new:
                self._check_not_stale(pair, current, expected, is_decided=decision is not None)
                if current and rollback_reason:
                    self._take_out_of_service(current, pair.custom, rollback_reason)
                else:
                    status = PROMOTING
                    tags = {SERVING_STATUS: status}
                    if current:
                        # A new wrapper of the same model has replaced what the wrapper before it had replaced.
                        is_same = _wrapped_by(current) == pair.basic.model_id
                        replaced = current.tags.get(REPLACED_VERSION, "") if is_same else str(current.version)
                        tags[REPLACED_VERSION] = replaced
                    self._tag(tags, pair.custom)
                self._registry.set_alias(self.custom_name, ALIAS, pair.custom.version)
            self._complete(pair, status)
            if is_new and decision:
                self._tag(decision, *pair)
        return is_new

    def reconcile_aliases(self) -> str | None:
        """Move the basic alias to match the custom one, which decides what is served.

        If a person moved the custom alias, the pair that it left is tagged as rolled back, so that no run restores it.

        Returns:
            What is served now and why, or None if nothing had to be done.
        """
        with file_lock(self._registry.locks, f"pair-{self.custom_name}"):
            pair = self.current()
            return self._complete(pair, pair.custom.tags.get(SERVING_STATUS, "")) if pair else None

    def _check_not_stale(
        self, pair: ModelPair, current: ModelVersion | None, expected: str | None, *, is_decided: bool
    ) -> None:
        served = _wrapped_by(current)
        if expected is not None and served not in {expected, pair.basic.model_id}:
            raise StalePairError(
                f"{self.basic_name} version {pair.basic.version} was compared with {expected or 'no champion'}, but "
                f"{served or 'none'} is under {ALIAS} now; the aliases were not moved. Run again: it will be "
                "compared with that one."
            )
        if is_decided:
            return
        if current:
            self._why_left(self._custom_under(LAST_PROMOTED), current, current.tags.get(SERVING_STATUS, ""))
        for version in pair:
            # Fetched again: it may have been taken out of service in the meantime.
            found = self._registry.get_version(version.name, version.version) or version
            if reason := found.tags.get(ROLLBACK_REASON):
                raise StalePairError(
                    f"{version.name} version {version.version} was rolled back: {reason}; the aliases were not moved. "
                    "Put it back with the job approve, or fit another model."
                )

    def _complete(self, pair: ModelPair, status: str) -> str | None:
        """Make the rest follow the custom alias; returns what is served now and why, unless nothing was wrong."""
        last = self._custom_under(LAST_PROMOTED)
        reason = self._why_left(last, pair.custom, status)
        basic = self._registry.get_version_by_alias(self.basic_name, ALIAS)
        if basic is None or basic.version != pair.basic.version:
            self._registry.set_alias(self.basic_name, ALIAS, pair.basic.version)
            reason = reason or f"the alias of {self.basic_name} followed that of {self.custom_name}, which decides"
        if any(version.tags.get(ROLLBACK_REASON) for version in pair):
            self._tag({ROLLBACK_REASON: ""}, *pair)
        if last is None or last.version != pair.custom.version:
            self._registry.set_alias(self.custom_name, LAST_PROMOTED, pair.custom.version)
        if status != PROMOTED:
            self._tag({SERVING_STATUS: PROMOTED}, pair.custom)
        return f"{ALIAS} is at {pair} now: {reason}" if reason else None

    def _why_left(self, last: ModelVersion | None, served: ModelVersion, status: str) -> str:
        """Why another version is served than the last completed move left, which is tagged with it; '' if promoted."""
        if last is None or last.version == served.version:
            return ""
        reason = last.tags.get(ROLLBACK_REASON)
        if not reason:
            if status == PROMOTING:
                return ""
            reason = f"somebody moved {ALIAS} of {self.custom_name} from version {last.version} to {served.version}"
            if served.version > last.version and not served.tags.get(REPLACED_VERSION):
                self._tag({REPLACED_VERSION: str(last.version)}, served)
            self._take_out_of_service(last, served, reason)
        return f"{reason}. No run restores version {last.version}; the job approve does"

    def _take_out_of_service(self, left: ModelVersion, served: ModelVersion, reason: str) -> None:
        wrapped, versions = _wrapped_by(left), [left]
        if wrapped != _wrapped_by(served):
            versions = [*self._registry.search_versions(self.basic_name, model_id=wrapped), left]
        self._tag({ROLLBACK_REASON: reason}, *versions)

    def _custom_under(self, alias: str) -> ModelVersion | None:
        return self._registry.get_version_by_alias(self.custom_name, alias)

    def _tag(self, tags: Mapping[str, str], *versions: ModelVersion) -> None:
        for version in versions:
            self._registry.set_tags(version.name, version.version, tags)

    def _pair_of(self, custom: ModelVersion) -> ModelPair:
        wrapped = _wrapped_by(custom)
        # Usually the alias points at it: one call, while a search is slower and may not find a new version yet.
        basic = self._registry.get_version_by_alias(self.basic_name, ALIAS)
        if basic is None or basic.model_id != wrapped:
            basic = next(iter(self._registry.search_versions(self.basic_name, model_id=wrapped)), None)
        if basic is None:
            raise RegistryError(
                f"{custom.name} version {custom.version} has no version of {self.basic_name} that it wraps (tag "
                f"{BASIC_MODEL_ID}: {wrapped}); put another pair under {ALIAS}: the job approve takes a basic_version."
            )
        return ModelPair(basic, custom)


def _wrapped_by(custom: ModelVersion | None) -> str:
    return custom.tags.get(BASIC_MODEL_ID, "") if custom else ""
