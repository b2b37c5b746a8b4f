"""One fit by several processes with ``lightgbm.dask``: each worker reads and encodes its own rows.

No process holds all rows. Each worker reads its part, counts the categories there and encodes the part by them; the
counts are summed into the encoder that a single process would have fitted, and the codes are remapped. The trees are
LightGBM's data-parallel ones: every process grows the same tree from the summed histograms of the parts.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from marvel_assets.training.dataset import RowsSum, rows_digest, sum_of_rows, to_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from distributed import Client, Future
    from lightgbm import LGBMClassifier
    from sklearn.pipeline import Pipeline

    from marvel_assets.model.encoder import CatToIntTransformer
    from marvel_assets.storage.table_scan import TableScan

    Matrix = npt.NDArray[np.float64]

NETWORK_LINES = re.compile(
    r"^\[(?:machines|num_machines|local_listen_port|num_threads|tree_learner): .*\]\n", re.MULTILINE
)
"""Lines of a model's text about the processes that fitted it; prediction doesn't need them."""


class DistributedFit(NamedTuple):
    """The fitted pipeline, with the number and the digest of the rows that it was fitted on."""

    pipeline: Pipeline
    rows: int
    rows_digest: str


class PartSummary(NamedTuple):
    """What the fit needs to know about a part.

    Attributes:
        counts: for each encoded column, the frequency of each category found here, in the order of their codes.
        classes: of the target.
        rows_sum: for the digest of all rows.
        no_rows: an empty frame with the features' names and types.
    """

    counts: dict[str, dict[Any, int]]
    classes: list[int]
    rows_sum: RowsSum
    no_rows: pd.DataFrame


class EncodedPart(NamedTuple):
    """The rows of one worker, encoded by an encoder fitted on these rows alone; only ``summary`` leaves the worker."""

    matrix: Matrix
    target: npt.NDArray[np.int32]
    summary: PartSummary


def fit_on_workers(
    client: Client,
    workers: Sequence[str],
    parts: Sequence[TableScan],
    pipeline: Pipeline,
    features: Sequence[str],
    target: str,
) -> DistributedFit:
    """Fit a pipeline of ``build_pipeline``, the n-th part on the n-th worker.

    The fit is reproducible bit for bit for the same parts in the same order, wherever the workers are.

    Args:
        client: an ``OrderedClient`` of the Dask cluster.
        workers: addresses.
        parts: what each worker reads.
        pipeline: unfitted.
        features: its columns, in order.
        target: the column to learn.

    Raises:
        ValueError: a part has no rows, or only one class.
    """
    encoder: CatToIntTransformer = pipeline.named_steps["encode"]
    encoded = [
        client.submit(encode_part, part, pipeline, features, target, workers=[worker], pure=False)
        for worker, part in zip(workers, parts, strict=True)
    ]
    summaries: list[PartSummary] = client.gather(client.map(attrgetter("summary"), encoded, pure=False))
    _check_classes(summaries, target)
    pipeline.named_steps["coerce"].fit(summaries[0].no_rows)
    counts: defaultdict[str, Counter[Any]] = defaultdict(Counter)
    for summary in summaries:
        for name, found in summary.counts.items():
            counts[name].update(found)
    encoder.fit_counts(features, counts)
    matrices = [
        client.submit(recoded, part, features, encoder, workers=[worker], pure=False)
        for worker, part in zip(workers, encoded, strict=True)
    ]
    targets = client.map(attrgetter("target"), encoded, pure=False)
    client.gather(client.map(len, [*matrices, *targets], pure=False))  # computed, or failed, before LightGBM asks
    del encoded
    classifier = pipeline.named_steps["classify"]
    fitted = _fitted_classifier(client, classifier, matrices, targets, summaries, features)
    pipeline.steps[-1] = ("classify", fitted)
    sums = [summary.rows_sum for summary in summaries]
    return DistributedFit(pipeline, sum(part.rows for part in sums), rows_digest(sums))


def encode_part(part: TableScan, pipeline: Pipeline, features: Sequence[str], target: str) -> EncodedPart:
    """Read a part and encode it by its own categories. Runs on the worker."""
    import numpy as np
    from sklearn.base import clone

    frame = to_frame(part.read(), features, target)
    no_rows, counts, matrix = frame.head(0)[list(features)], {}, np.empty((0, len(features)))
    if not frame.empty:
        prepare = clone(pipeline[:-1]).set_params(encode__min_frequency=None)
        encoded = prepare.fit_transform(frame[list(features)])
        counts = {
            name: dict(zip(categories, np.bincount(encoded[name][encoded[name] >= 0]).tolist(), strict=True))
            for name, categories in prepare[-1].categories_.items()
        }
        matrix = encoded.to_numpy(np.float64)
    y_true = frame[target].to_numpy(np.int32)
    return EncodedPart(matrix, y_true, PartSummary(counts, np.unique(y_true).tolist(), sum_of_rows(frame), no_rows))


def recoded(part: EncodedPart, features: Sequence[str], encoder: CatToIntTransformer) -> Matrix:
    """The part's matrix with the codes that all parts share. Runs on the worker."""
    import numpy as np

    matrix = part.matrix.copy()
    for name, counts in part.summary.counts.items():
        # Index -1, a missing cell, picks the last entry.
        codes = np.array([*encoder.codes_of(list(counts), name), -1], dtype=np.float64)
        column = list(features).index(name)
        matrix[:, column] = codes[part.matrix[:, column].astype(np.intp)]
    return matrix


def _fitted_classifier(
    client: Client,
    classifier: LGBMClassifier,
    matrices: Sequence[Future],
    targets: Sequence[Future],
    summaries: Sequence[PartSummary],
    features: Sequence[str],
) -> LGBMClassifier:
    import dask.array as da
    import numpy as np
    from lightgbm import DaskLGBMClassifier

    rows = [summary.rows_sum.rows for summary in summaries]
    matrix = da.concatenate(
        [da.from_delayed(part, (count, len(features)), np.float64) for part, count in zip(matrices, rows, strict=True)]
    )
    target = da.concatenate(
        [da.from_delayed(part, (count,), np.int32) for part, count in zip(targets, rows, strict=True)]
    )
    parameters = classifier.get_params()
    del parameters["n_jobs"]  # the cluster decides the threads of its workers
    distributed = DaskLGBMClassifier(**parameters, client=client)
    with client.as_current():  # LightGBM waits for the parts with the current client
        distributed.fit(matrix, target, feature_name=list(features))
    return _alone(distributed.to_local(), classifier)


def _alone(fitted: LGBMClassifier, unfitted: LGBMClassifier) -> LGBMClassifier:
    """The classifier as if fitted in one process, without the workers' addresses."""
    from lightgbm import Booster
    from sklearn.base import clone

    alone: LGBMClassifier = clone(unfitted)
    learned = {name: value for name, value in vars(fitted).items() if name.startswith("_") or name.endswith("_")}
    del learned["_other_params"]  # with those of the network
    for name, value in learned.items():
        setattr(alone, name, value)
    alone._Booster = Booster(model_str=NETWORK_LINES.sub("", fitted.booster_.model_to_string()))  # noqa: SLF001
    return alone


def _check_classes(summaries: Sequence[PartSummary], target: str) -> None:
    """Check that each part has all classes: LightGBM numbers them separately in each process.

    Raises:
        ValueError: naming the first part that lacks a class.
    """
    everywhere = sorted({value for summary in summaries for value in summary.classes})
    for place, summary in enumerate(summaries, start=1):
        if summary.classes != everywhere or len(everywhere) < 2:  # noqa: PLR2004
            raise ValueError(
                f"column {target}: each worker needs rows of both classes; the part of worker {place} of "
                f"{len(summaries)} has {summary.rows_sum.rows:,} rows with {target} in {summary.classes}. Fit with "
                "fewer workers, or in one process (no `distribution`)."
            )
