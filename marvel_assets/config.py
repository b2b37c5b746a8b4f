"""The project's configuration, validated when it is read. ``config/project.yml`` says what each key means."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PositiveInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from marvel_assets.datasets.base import Dataset, load_dataset
from marvel_assets.model.estimators import AnyEstimator

Environment = Literal["dev", "acc", "prd"]

ObjectName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$", max_length=100)]
"""A catalog's or schema's name: also a folder, and three of them fit into the name of a lock file."""

DEFAULT_DATASET = "marvel_kaggle"

ExperimentName = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f`]+$", max_length=500)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
ColumnNames = Annotated[tuple[str, ...], Field(strict=False)]
Model = Annotated[
    AnyEstimator,
    BeforeValidator(lambda given: {"kind": "lightgbm", **given} if isinstance(given, dict) else given),
    Field(validation_alias=AliasChoices("model", "parameters")),  # the second is the key in the course's flat file
]


class ConfigError(ValueError):
    """The configuration can't be used; the text names the file and the key."""


class _StrictLoader(yaml.SafeLoader):
    """Refuses aliases, which no setting needs, and repeated keys, of which PyYAML takes the last."""

    def fetch_alias(self) -> None:
        raise yaml.scanner.ScannerError(None, None, "found an alias; write out its value", self.get_mark())

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        names = [key.value for key, _ in node.value]
        if twice := [key for key, _ in node.value if names.count(key.value) > 1]:
            problem = f"found the key {twice[-1].value!r} a second time; keep one of them"
            raise yaml.constructor.ConstructorError(None, None, problem, twice[-1].start_mark)
        return super().construct_mapping(node, deep)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class EarlyStopping(_Strict):
    """Finds the number of trees on held-out training rows; then all training rows are fitted with it."""

    rounds: PositiveInt = 50
    share: Annotated[float, Field(gt=0, le=0.5)] = 0.1


class Gate(_Strict):
    """What a challenger must reach on the test rows to replace the champion; ``thresholds`` has MLflow's names."""

    mode: Literal["enforce", "report"] = "enforce"
    approval: Literal["automatic", "manual"] = "automatic"
    thresholds: dict[str, float] = {"roc_auc": 0.6, "balanced_accuracy_score": 0.5, "log_loss_gain": 0.0}
    minimum_slice_roc_auc: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_slice_rows: Annotated[int, Field(ge=4)] = 500
    max_roc_auc_loss: Annotated[float, Field(gt=0, le=1)] = 0.005
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95


class Drift(_Strict):
    """When scored rows count as different from the test rows, and how many of the latest windows must agree."""

    psi: Annotated[float, Field(gt=0)] = 0.25
    p_value: Annotated[float, Field(gt=0, lt=1)] = 0.01
    min_window_rows: PositiveInt = 200
    windows: PositiveInt = 5
    drifted_windows: PositiveInt = 2


class Generator(_Strict):
    """Size and seed of the generated source."""

    rows: Annotated[int, Field(gt=0, le=1_000_000_000)] = 92_000
    seed: Seed = 616


class ProjectConfig(_Strict):
    """The project's settings in one environment."""

    environment: Environment
    dataset: Annotated[
        InstanceOf[Dataset], BeforeValidator(lambda given: load_dataset(given) if isinstance(given, str) else given)
    ]
    catalog_name: ObjectName
    schema_name: ObjectName = Field(default_factory=lambda known: known["dataset"].schema_name)
    num_features: ColumnNames = Field(default_factory=lambda known: known["dataset"].numeric_features)
    cat_features: ColumnNames = Field(
        default_factory=lambda known: tuple(
            name for name in known["dataset"].by_name if name not in known["dataset"].numeric_features
        )
    )
    target: str = Field(default_factory=lambda known: known["dataset"].target.name)
    model: Model
    min_frequency: PositiveInt = 50
    native_categories: bool = False
    early_stopping: EarlyStopping | None = None
    experiment_name_basic: ExperimentName = Field(default_factory=lambda known: _experiment_name(known, "basic"))
    experiment_name_custom: ExperimentName = Field(default_factory=lambda known: _experiment_name(known, "custom"))
    gate: Gate = Gate()
    drift: Drift = Drift()
    generator: Generator = Generator()

    @classmethod
    def from_yaml(cls, path: str | Path, env: str = "dev", dataset: str | None = None) -> ProjectConfig:
        """Read the settings of one environment.

        Args:
            path: a YAML file with a ``catalog_name`` under each of ``dev``, ``acc`` and ``prd``, and everything else at
                the top level. Defaults come from the data set: its schema, all features, experiments with its name.
                ``parameters`` is short for a ``model`` of kind lightgbm.
            env: one of ``dev``, ``acc``, ``prd``.
            dataset: a folder of ``marvel_assets/datasets``. Default: the file's key ``dataset``.

        Raises:
            ConfigError: naming the file and each key that is unknown, missing or unusable.
        """
        try:
            content = yaml.load(Path(path).read_text(encoding="utf-8"), _StrictLoader)  # noqa: S506 - stricter than safe
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: can't be read as YAML: {error} (MARVEL_CONFIG).") from error
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: expected keys and values, found {type(content).__name__}.")
        sections = {name: content.pop(name, None) for name in get_args(Environment)}
        own = sections.get(env)
        if not isinstance(own, dict) or own.keys() - {"catalog_name", "schema_name"}:
            raise ConfigError(
                f"{path}: {env}: expected a catalog_name, and at most a schema_name beside it; found {own!r:.100}. "
                "Choose dev, acc or prd (MARVEL_ENV)."
            )
        chosen = {"dataset": dataset} if dataset else {}
        try:
            return cls.model_validate({"dataset": DEFAULT_DATASET, **content, **own, **chosen, "environment": env})
        except ValidationError as error:
            raise ConfigError(f"{path}: {describe_problems(error)}") from error

    @model_validator(mode="after")
    def _features_exist_once(self) -> Self:
        dataset = self.dataset
        wrong = {name for name in self.features if self.features.count(name) > 1 or name not in dataset.by_name}
        wrong |= set(self.num_features) - set(dataset.numeric_features)
        if wrong or not self.features:
            named = ", ".join(sorted(wrong)) or "nothing"
            raise ValueError(
                f"num_features and cat_features name {named}; the data set {dataset.name} has "
                f"{', '.join(dataset.by_name)}; name each once, and in num_features only numbers: "
                f"{', '.join(dataset.numeric_features)}"
            )
        if self.target != dataset.target.name:
            raise ValueError(f"target is {self.target!r}; the data set {dataset.name} has {dataset.target.name!r}")
        return self

    @property
    def experiment_name_tuning(self) -> str:
        """The experiment of the job tune."""
        return f"{self.experiment_name_basic}-tuning"

    @property
    def features(self) -> tuple[str, ...]:
        """Numeric features, then categorical ones: the order of the model's columns."""
        return self.num_features + self.cat_features

    @property
    def fit_rules(self) -> tuple[object, ...]:
        """What decides how the pipeline reads a cell, besides its code."""
        return self.cat_features, self.target, self.dataset.cell_rules

    @property
    def fit_settings(self) -> dict[str, Any]:
        """What decides a fit besides rows and features, by the names that MLflow records; defaults are left out."""
        settings = {"model": self.model.kind, **self.model.parameters, "min_frequency": self.min_frequency}
        if self.native_categories:
            settings["native_categories"] = True
        if self.early_stopping is not None:
            settings |= {f"early_stopping_{name}": value for name, value in self.early_stopping.model_dump().items()}
        return settings

    def with_parameters(self, parameters: dict[str, Any]) -> Self:
        """The settings with other arguments of the classifier; a ConfigError names those that can't be used."""
        own = self.model.model_dump(exclude_none=True)
        model = parameters if parameters.get("kind", self.model.kind) != self.model.kind else {**own, **parameters}
        try:
            return self.model_validate({**dict(self), "model": model})
        except ValidationError as error:
            raise ConfigError(describe_problems(error)) from error

    def qualified(self, name: str) -> str:
        """The three-level name of a table or model in this environment."""
        return f"{self.catalog_name}.{self.schema_name}.{name}"


def _experiment_name(known: dict[str, Any], kind: str) -> str:
    return f"/Shared/{known['schema_name'].replace('_', '-')}-{kind}"


def describe_problems(error: ValidationError) -> str:
    """Each key at fault with its problem; pydantic puts the kind of model between ``model`` and its keys."""
    short = {"extra_forbidden": "unknown key", "missing": "missing key"}
    problems = []
    for problem in error.errors():
        key = re.sub(r"^(model|parameters)\.\w+(?=\.)", r"\1", ".".join(map(str, problem["loc"])))
        text = short.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        if problem["type"] != "default_factory_not_called":  # follows from another problem
            problems.append(f"{key}: {text}" if key else text)
    return "; ".join(problems)
