"""What each offer brings over the reference, and what it costs: ROC AUC and log loss, with intervals.

On generated characters, whose signal is invented: what helps there tells of the method (many universes in no order),
not of the real table. On the rows of MARVEL_SOURCE as well, where that is set. Everything is cross-validated on
training rows; the test rows are looked at once, in the end.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.model_selection import RepeatedStratifiedKFold

from benchmarks.measuring import ROUNDS, Comparison
from marvel_assets.config import EarlyStopping, Generator, ProjectConfig
from marvel_assets.evaluation.metrics import Interval
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.training.fit import fit_from_config
from marvel_assets.training.search import SearchBudget, fold_scores, search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sklearn.pipeline import Pipeline

    from marvel_assets.sources.base import Source

SPLITS, SEED, CONFIDENCE = 5, 616, 0.95
ONE_THREAD = 1
"""At one thread and in seconds of the processor, fits take the same on a quiet and on a busy machine."""

FEW = 2000
"""Of fewer training rows a search is quick enough to be done anew in each fold, and folds are repeated more often."""

REFERENCE, NATIVE, STOPPING, BOTH, TUNED, TUNED_NATIVE = (
    "reference",
    "native_categories",
    "early_stopping",
    "both",
    "tuned, codes as numbers",
    "tuned, native_categories",
)
COUNTS, BINARY_FEATURES = (
    ("Team_Count", "Creator_Count"),
    ("Name_Words", "Qualified", "Temporary_Universe", "Hybrid", "Cyborg"),
)
WITH_COUNTS, WITH_FLAGS = "with counts of teams and creators", "with flags of name, page, universe and origin"
SEARCHED, NESTED = "tuned anew in each fold", 20
"""The only honest figure of a search: what it finds never saw the fold. Done in the first four repeats."""

DROPPED: dict[str, str] = {
    "Team_Count": "kept.Teams * (1 + length(raw.Teams) - length(replace(raw.Teams, ';', '')))",
    "Creator_Count": "1 + length(raw.Creators) - length(replace(raw.Creators, ';', ''))",
    "Name_Words": "len(string_split(raw.Name, ' '))",
    "Qualified": "CAST(raw.PageID LIKE '%(%(%' AS INT)",
    "Temporary_Universe": "CAST(raw.Universe LIKE '%TRN%' AS INT)",
    "Hybrid": "CAST(raw.Origin ILIKE '%hybrid%' AS INT)",
    "Cyborg": "CAST(raw.Origin ILIKE '%cyborg%' OR raw.Origin ILIKE '%android%' AS INT)",
}
"""What the source tells and the tables leave out. Words that tell of death itself (zombie, undead, corpse, ghost,
deceased) are no candidates: they would hand the model its answer. Nor is "formerly": editors write it afterwards."""

CROSS_VALIDATED = "| cross-validated | ROC AUC | difference | log loss | difference |\n|---|---|---|---|---|"
ONCE_ON_TEST = (
    "| on the test rows | ROC AUC | difference | log loss | difference | trees | seconds of a fit / "
    "reference | of predicting / reference |\n|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Sets:
    """Cleaned rows of one source, indexed by id."""

    name: str
    train: pd.DataFrame
    test: pd.DataFrame

    @property
    def are_few(self) -> bool:
        """Whether a search is quick."""
        return len(self.train) < FEW


def predictions() -> Iterator[str]:
    """A table for each source."""
    from marvel_assets.sources.resource import locate

    rows = _reference().generator.rows
    for source in dict.fromkeys(["generated", os.environ.get("MARVEL_SOURCE") or "generated"]):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            sets = _cleaned(source, locate(source, place, _reference().dataset, Generator(rows=rows, seed=SEED)), place)
            yield f"\n{sets.name}: {len(sets.train):,} training rows, {len(sets.test):,} test rows"
            yield from _table(sets, place)


def _reference() -> ProjectConfig:
    return ProjectConfig.from_yaml(PROJECT_ROOT / "config" / "project.yml")


def _cleaned(name: str, source: Source, folder: Path) -> Sets:
    from marvel_assets.datasets.base import IDENTIFIER
    from marvel_assets.datasets.marvel_kaggle import DATASET
    from marvel_assets.datasets.statements import cleaning_sql, digested_source_sql, split_sql
    from marvel_assets.storage.engines.duckdb import DuckDBEngine

    columns = [IDENTIFIER, *DATASET.by_name, DATASET.target.name]
    dropped = ", ".join(f"coalesce({expression}, 0) AS {name}" for name, expression in DROPPED.items())
    with DuckDBEngine(scratch=str(folder)).session() as session:
        session.read_source(source, "delivered")
        session.create_table_as(digested_source_sql(DATASET, "delivered"), "raw_characters")
        session.create_table_as(cleaning_sql(DATASET), "cleaned_characters")
        parts = {}
        for split in ("train", "test"):
            session.create_table_as(split_sql(DATASET, split), split)
            # Of rows that share an id the first in the source was kept.
            read = session.fetchall(
                f"SELECT {', '.join(f'kept.{name}' for name in columns)}, {dropped} FROM {split} AS kept "  # noqa: S608
                "JOIN cleaned_characters AS cleaned ON cleaned.Id = kept.Id AND cleaned.rejected_column IS NULL "
                "JOIN raw_characters AS raw ON raw.source_row = cleaned.source_row ORDER BY kept.Id"
            )
            frame = pd.DataFrame(read, columns=[*columns, *DROPPED]).astype(
                dict.fromkeys(DATASET.numeric_features, float)
            )
            parts[split] = frame.set_index(IDENTIFIER)
    return Sets(Path(name).name, parts["train"], parts["test"])


def _table(sets: Sets, folder: Path) -> Iterator[str]:
    """Cross-validated figures of every way; then, once, those on the test rows, and what each way costs."""
    ways = {**_offers(), **_tuned(sets, folder / "study.db")}
    splitter = RepeatedStratifiedKFold(n_splits=SPLITS, n_repeats=20 if sets.are_few else 2, random_state=SEED + 2)
    parts = list(splitter.split(sets.train, sets.train[_reference().target]))
    found: dict[str, pd.DataFrame] = {}
    yield f"\n{CROSS_VALIDATED}"
    for name, way in ways.items():
        found[name] = fold_scores(way, sets.train, parts, ONE_THREAD)
        yield _line(name, *_cross_validated(found[name], found[REFERENCE]))
    if sets.are_few:
        first = parts[:NESTED]
        searched = [_nested(sets.train, part, folder / f"fold-{place}.db") for place, part in enumerate(first)]
        yield _line(SEARCHED, *_cross_validated(pd.concat(searched), found[REFERENCE][:NESTED]))
    fitted = {name: _fit(way, sets.train) for name, way in ways.items()}
    prices = _prices(ways, fitted, sets)
    yield f"\n{ONCE_ON_TEST}"
    for name, pipeline in fitted.items():
        trees = str(pipeline.named_steps["classify"].booster_.num_trees())
        yield _line(name, *_on_test(pipeline, fitted[REFERENCE], sets.test), trees, *prices[name])


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _offers() -> dict[str, ProjectConfig]:
    reference, stopping = _reference(), EarlyStopping()
    return {
        REFERENCE: reference,
        NATIVE: reference.model_copy(update={"native_categories": True}),
        STOPPING: reference.model_copy(update={"early_stopping": stopping}),
        WITH_COUNTS: reference.model_copy(update={"num_features": (*reference.num_features, *COUNTS)}),
        WITH_FLAGS: reference.model_copy(update={"num_features": (*reference.num_features, *BINARY_FEATURES)}),
        BOTH: reference.model_copy(update={"native_categories": True, "early_stopping": stopping}),
    }


def _tuned(sets: Sets, storage: Path) -> dict[str, ProjectConfig]:
    """The best of one search on the training rows, once for each way to take categories.

    They are cross-validated on rows that they were chosen on, if on other folds: a little flattered.
    """
    budget = SearchBudget(trials=20, minutes=120.0, splits=3, seed=SEED, threads=ONE_THREAD)
    trials = search(_reference(), sets.train, budget, storage, lambda _: None).trials
    best = {}
    for name, is_native in ((TUNED, False), (TUNED_NATIVE, True)):
        those = [trial for trial in trials if trial.config.native_categories is is_native]
        best[name] = min(those, key=lambda trial: trial.log_loss).config
    return best


def _nested(training: pd.DataFrame, part: tuple[np.ndarray, np.ndarray], storage: Path) -> pd.DataFrame:
    """Search on a fold's fitted rows alone, and judge what was found on those held out."""
    budget = SearchBudget(trials=20, minutes=120.0, splits=3, seed=SEED, threads=ONE_THREAD)
    best = search(_reference(), training.iloc[part[0]], budget, storage, lambda _: None).best
    return fold_scores(best.config, training, [part], ONE_THREAD)


def _fit(way: ProjectConfig, training: pd.DataFrame) -> Pipeline:
    return fit_from_config(way, training, ONE_THREAD)


def _cross_validated(judged: pd.DataFrame, reference: pd.DataFrame) -> list[str]:
    cells = []
    for figure in ("roc_auc", "log_loss"):
        ours, theirs = judged[figure].to_list(), reference[figure].to_list()
        cells += [f"{np.mean(ours):.4f}", str(difference(ours, theirs, SPLITS)) if judged is not reference else ""]
    return cells


def _on_test(pipeline: Pipeline, reference: Pipeline, test: pd.DataFrame) -> list[str]:
    """Both figures of the test rows, and their paired differences from the reference."""
    from scipy.stats import ttest_rel

    from marvel_assets.evaluation.gate import compare

    config = _reference()
    alive = test[config.target].to_numpy()
    ours, theirs = (model.predict_proba(test[list(model.feature_names_in_)])[:, 1] for model in (pipeline, reference))
    ranked = compare(alive, ours, theirs, config.gate)
    losses = [-np.log(np.where(alive == 1, probability, 1 - probability)) for probability in (ours, theirs)]
    cells = [f"{ranked.candidate:.4f}", "", f"{losses[0].mean():.4f}", ""]
    if pipeline is not reference:
        interval = ttest_rel(*losses).confidence_interval(CONFIDENCE)
        cells[1] = str(Interval(ranked.candidate - ranked.baseline, ranked.low, ranked.high))
        cells[3] = str(Interval(float((losses[0] - losses[1]).mean()), interval.low, interval.high))
    return cells


def _prices(ways: Mapping[str, ProjectConfig], fitted: Mapping[str, Pipeline], sets: Sets) -> dict[str, list[str]]:
    """What a fit and predicting the training rows take, over what the reference takes; rounds of all in turn."""

    def fit(name: str) -> object:
        return _fit(ways[name], sets.train)

    def predict(name: str) -> object:
        return fitted[name].predict_proba(sets.train[list(ways[name].features)])

    fits, predicts = ({name: Comparison() for name in ways} for _ in range(2))
    for _ in range(ROUNDS):
        for taken, work in ((fits, fit), (predicts, predict)):
            seconds = {name: _processor_seconds(partial(work, name)) for name in ways}
            for name, ours in seconds.items():
                taken[name].ours.append(ours)
                taken[name].floor.append(seconds[REFERENCE])
    return {name: [f"{np.median(taken[name].ratios):.2f}" for taken in (fits, predicts)] for name in ways}


def _processor_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def difference(candidate: Sequence[float], baseline: Sequence[float], splits: int) -> Interval:
    """Candidate less baseline, fold by fold, with the interval of the corrected resampled t-test.

    The fits of a cross-validation share most of their rows, so that the plain standard error is far too small: the
    variance is multiplied by 1 / fits + held-out rows / fitted rows (Nadeau and Bengio, Inference for the
    Generalization Error, 2003).

    Args:
        candidate: a figure of each fold.
        baseline: the same figure of the same folds.
        splits: how many folds a repeat has.
    """
    from scipy.stats import t

    differences = np.subtract(candidate, baseline)
    mean, fits = float(differences.mean()), len(differences)
    error = float(np.sqrt((1 / fits + 1 / (splits - 1)) * differences.var(ddof=1)))
    reach = float(t.ppf((1 + CONFIDENCE) / 2, fits - 1)) * error
    return Interval(mean, mean - reach, mean + reach)
