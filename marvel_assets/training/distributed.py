"""One fit by several processes with ``lightgbm.dask``: each worker reads and encodes its own rows.

No process holds all rows. Each worker reads its part and counts the categories there; the counts are summed into the
encoder that a single process would have fitted, by which each worker encodes its part. The trees are LightGBM's
data-parallel ones: every process grows the same tree from the summed histograms of the parts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from marvel_assets.training.dataset import RowsSum, rows_digest, sum_of_rows, to_frame

if TYPE_CHECKING:
    from distributed import Future
    from sklearn.pipeline import Pipeline

    from marvel_assets.model.encoder import CatToIntTransformer
    from marvel_assets.model.estimators.base import Classifier
    from marvel_assets.storage.table_scan import TableScan
    from marvel_assets.training.dask_cluster import FitClient

NETWORK_LINES = re.compile(r"(?m)^\[(machines|num_machines|local_listen_port|num_threads|tree_learner): .*\]\n")
"""Lines of a model's text about the processes that fitted it; prediction doesn't need them."""


class Part(NamedTuple):
    """The rows of one worker, after the pipeline's first step; only the ``summary`` leaves the worker."""

    rows: pd.DataFrame
    target: npt.NDArray[np.int32]
    counts: dict[str, dict[Any, int]]
    """For each encoded column, how often each category occurs."""
    rows_sum: RowsSum

    def summary(self) -> Part:
        """Without rows, and with each class once."""
        return self._replace(rows=self.rows.head(0), target=np.unique(self.target))


def fit_on_workers(
    client: FitClient, parts: Sequence[TableScan], pipeline: Pipeline, features: Sequence[str], target: str
) -> tuple[Pipeline, int, str]:
    """Fit an unfitted pipeline in place, the n-th part on the client's n-th worker.

    The fit is the same bit for bit for the same parts in the same order, wherever the workers are. Returns the
    pipeline, and the number and the digest of the rows.
    """
    coercer, encoder, classifier = pipeline.named_steps.values()
    read = [
        client.submit(_read, part, pipeline, list(features), target, workers=[worker], pure=False)
        for worker, part in zip(client.workers, parts, strict=True)
    ]
    summaries: list[Part] = client.gather(client.map(Part.summary, read, pure=False))
    for number, summary in enumerate(summaries, start=1):
        if (classes := summary.target.tolist()) != [0, 1]:  # LightGBM would number them separately in each process
            raise ValueError(
                f"column {target}: each worker needs both classes; the {summary.rows_sum.rows:,} rows of worker "
                f"{number} have {classes}. Fit with fewer workers, or in one process (no `distribution`)."
            )
    counts = {name: sum((Counter(each.counts[name]) for each in summaries), Counter()) for name in encoder.columns}
    coercer.fit(summaries[0].rows)
    encoder.fit(summaries[0].rows).fit_counts(counts)
    matrices = [
        client.submit(_encoded, part, encoder, workers=[worker], pure=False)
        for worker, part in zip(client.workers, read, strict=True)
    ]
    targets = client.map(attrgetter("target"), read, pure=False)
    client.gather(client.map(len, [*matrices, *targets], pure=False))  # computed, or failed, before LightGBM asks
    del read
    sums = [summary.rows_sum for summary in summaries]
    sizes = [part.rows for part in sums]
    _fit_classifier(client, classifier, list(zip(matrices, targets, sizes, strict=True)), list(features))
    return pipeline, sum(sizes), rows_digest(sums)


def _read(part: TableScan, pipeline: Pipeline, features: list[str], target: str) -> Part:
    """Runs on the worker."""
    frame = to_frame(part.read(), features, target)
    rows = pipeline.named_steps["coerce"].fit_transform(frame[features])
    counts = pipeline.named_steps["encode"].count(rows)
    return Part(rows, frame[target].to_numpy(np.int32), counts, sum_of_rows(frame))


def _encoded(part: Part, encoder: CatToIntTransformer) -> npt.NDArray[np.float64]:
    """Runs on the worker."""
    return encoder.transform(part.rows).to_numpy(np.float64)  # type: ignore[no-any-return]


def _fit_classifier(
    client: FitClient, classifier: Classifier, parts: Sequence[tuple[Future, Future, int]], features: list[str]
) -> None:
    """Fit the classifier as if in one process on the parts: matrix, target, and number of rows."""
    import dask.array as da
    from lightgbm import Booster, DaskLGBMClassifier

    matrix = da.concatenate([da.from_delayed(part, (rows, len(features)), np.float64) for part, _, rows in parts])
    target = da.concatenate([da.from_delayed(part, (rows,), np.int32) for _, part, rows in parts])
    parameters = classifier.get_params()
    del parameters["n_jobs"]  # the cluster decides the threads of its workers
    distributed = DaskLGBMClassifier(**parameters, client=client)
    with client.as_current():  # LightGBM waits for the parts with the current client
        distributed.fit(matrix, target, feature_name=features)
    fitted = distributed.to_local()
    for name, value in vars(fitted).items():
        # Without the arguments, and without `_other_params`: they hold the network's.
        if (name.startswith("_") or name.endswith("_")) and name != "_other_params":
            setattr(classifier, name, value)
    classifier._Booster = Booster(model_str=NETWORK_LINES.sub("", fitted.booster_.model_to_string()))  # noqa: SLF001
