"""What a data set declares. Everything else that the project knows about a table is derived from it."""

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any, Literal

IDENTIFIER = "Id"  # the column of cleaned tables that identifies a row
SOURCE_ROW = "source_row"  # the row's number in the source, from 1
WRITTEN_AT = "update_timestamp_utc"
TEST_HASH_BOUND = "33333333"  # an id is a test id where its MD5, as text, is below this: a fifth of all ids

PANDAS_MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
"""Cells that count as missing unless a data set says otherwise: the defaults of ``pandas.read_csv``."""

BLANKS = " \t\r\n\u00a0\u2007\u202f"
"""Trimmed from both ends of every cell but ids: spaces, tabs, line ends and non-breaking spaces."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A column that a model can learn from."""

    name: str  # in the cleaned tables and in requests to the model
    kind: Literal["number", "text", "flag"]  # a double, NaN where missing; a category; a category of 0 and 1
    source: str  # the stored column of the source that it comes from
    description: str
    examples: tuple[Any, Any]  # its values in the two rows of the model's input example
    values: tuple[str, ...] = ()  # all that it can hold, where that list is closed; in the source, in any case
    spellings: Mapping[str, str] = field(default_factory=dict)  # others in lower case, with the value that each means
    missing: str | int | None = None  # the value of a missing cell; numbers have none
    # What happens to a cell that is not among the values: the row is rejected, or the cell counts as missing. None
    # where cleaning.sql returns no other value.
    others: Literal["reject", "missing"] | None = None
    has_slices: bool = False  # whether the gate looks at each of its values
    optional: bool = False  # whether requests to the model may leave out this numeric column, as if it were empty


@dataclass(frozen=True, kw_only=True)
class Target:
    """The column to learn: 1 for one of two values of the source, 0 for the other."""

    name: str
    source: str
    values: tuple[str, str]  # what the source holds for 0 and for 1, in any case; other rows are rejected
    labels: tuple[str, str]  # the words that the custom model answers for 0 and for 1
    answer: str  # the key of its answer


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A table to learn from. Its rules are in ``cleaning.sql``, in the same folder."""

    package: str  # the folder as a module, such as marvel_assets.datasets.marvel_kaggle
    schema_name: str  # of its tables and models in each environment's catalog, unless the configuration names another
    source_columns: Mapping[str, str]  # in order, with their names in raw_characters: letters, digits and underscores
    identifier: str  # the stored column that identifies a row, compared exactly; cleaning.sql returns it as Id
    display_name: str  # the stored column that a person knows a row by
    description: str  # what its model predicts, in one sentence
    features: tuple[Feature, ...]
    target: Target
    missing_texts: tuple[str, ...] = PANDAS_MISSING
    encoding: str = "utf-8"  # of its CSV files, as Python names it
    sources: Mapping[str, str] = field(default_factory=dict)  # short names for MARVEL_SOURCE, each with its address
    # What is read where MARVEL_SOURCE is not set: one of the sources; or "generated", where the folder has a module
    # generator with a function generate(rows, seed). None asks for MARVEL_SOURCE.
    default_source: str | None = None
    limits: str = ""  # what to know before its model is used; a sentence or two of the model card

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.package.rpartition(".")[2]

    @cached_property
    def by_name(self) -> dict[str, Feature]:
        """The features, as declared."""
        return {feature.name: feature for feature in self.features}

    @cached_property
    def numeric_features(self) -> tuple[str, ...]:
        """Features that are numbers, and may be missing."""
        return tuple(feature.name for feature in self.features if feature.kind == "number")

    @cached_property
    def slice_columns(self) -> tuple[str, ...]:
        """The columns that the gate looks at value by value."""
        return tuple(feature.name for feature in self.features if feature.has_slices)

    @cached_property
    def fill_values(self) -> dict[str, str | int]:
        """The value of a missing cell, in the tables and in requests to the model."""
        return {feature.name: feature.missing for feature in self.features if feature.missing is not None}

    @cached_property
    def spellings(self) -> dict[str, dict[str, str]]:
        """For each closed list: every spelling in lower case, and the value that it means."""
        closed = [feature for feature in self.features if feature.values]
        return {each.name: {value.lower(): value for value in each.values} | dict(each.spellings) for each in closed}

    @cached_property
    def known_values(self) -> dict[str, tuple[str | int, ...]]:
        """The values of each closed list, and of flags."""
        return {each.name: each.values or (0, 1) for each in self.features if each.values or each.kind == "flag"}

    @cached_property
    def cell_rules(self) -> dict[str, Any]:
        """How the model reads a cell of a request: the arguments of its pipeline's first step."""
        return {
            "fill_values": self.fill_values,
            "blanks": BLANKS,
            "missing_texts": self.missing_texts,
            "spellings": self.spellings,
            "required": tuple(name for name in self.numeric_features if not self.by_name[name].optional),
            "known_values": self.known_values,
            "unknown_as_missing": tuple(feature.name for feature in self.features if feature.others == "missing"),
        }

    @cached_property
    def delivered_names(self) -> dict[str, str]:
        """The source's name of each stored column."""
        return {stored: delivered for delivered, stored in self.source_columns.items()}


def load_dataset(name: str) -> Dataset:
    """The data set in the folder of this name; if there is none, a ValueError lists those that are there."""
    if name not in dataset_names():
        raise ValueError(f"there is no data set {name!r} (MARVEL_DATASET); choose one of {', '.join(dataset_names())}")
    dataset: Dataset = import_module(f"{__package__}.{name}").DATASET
    return dataset


def dataset_names() -> list[str]:
    """The folders of ``marvel_assets/datasets``."""
    from marvel_assets import datasets

    return sorted(module.name for module in pkgutil.iter_modules(datasets.__path__) if module.ispkg)
