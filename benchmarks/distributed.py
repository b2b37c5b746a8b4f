"""A fit by several processes, over the fit of one: seconds, the largest process, and what the model is worth."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.graph import fresh_home
from benchmarks.measuring import Comparison, in_a_child, peak_of_this_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from marvel_assets.storage.references import TableVersion

ROWS = 100_000
TREES = 100
WORKERS = 2
SEEDS = (616, 1, 2, 3, 4)
"""Of the characters."""


def distributed() -> Iterator[str]:
    """Each fit reads its rows, too; the start of the workers counts. The intervals are the gate's."""
    seconds, memory, worth = Comparison(), Comparison(), []
    for seed in SEEDS:
        with fresh_home(ROWS, TREES, seed) as (_, environment), tempfile.TemporaryDirectory() as folder:
            in_a_child(("-m", "benchmarks.distributed", "clean", folder), environment)
            alone = _figures("1", folder, environment)
            together = _figures(str(WORKERS), folder, environment)
            seconds.floor.append(alone["seconds"])
            seconds.ours.append(together["seconds"])
            memory.floor.append(alone["peak"])
            memory.ours.append(together["peak"])
            compared = in_a_child(("-m", "benchmarks.distributed", "compare", folder), environment)
            worth.append(compared.output.splitlines()[-1])
    what = f"{TREES} trees on {ROWS:,} characters by {WORKERS} workers / by one process"
    yield seconds.row(f"fit of {what}; ROC AUC for each of {len(SEEDS)} seeds: {'; '.join(worth)}", 1.5)
    yield memory.row(f"peak memory of the largest process, {what}", 1.0, "MB")


def _figures(workers: str, folder: str, environment: dict[str, str]) -> dict[str, float]:
    output = in_a_child(("-m", "benchmarks.distributed", "fit", folder, workers), environment).output
    figures: dict[str, float] = json.loads(output.strip().splitlines()[-1])
    return figures


def main(what: str, folder: Path, *arguments: str) -> None:
    """One step, in a process whose peak of memory is its own."""
    match what:
        case "clean":
            _clean(folder)
        case "fit":
            _fit(folder, *arguments)
        case _:
            _compare(folder)


def _clean(folder: Path) -> None:
    from benchmarks.tables import clean, with_raw_table
    from marvel_assets.paths import ProjectPaths
    from marvel_assets.storage.references import to_json

    home = ProjectPaths.from_environment()
    resources, raw = with_raw_table(home, Path(os.environ["MARVEL_SOURCE"]))
    for asset, table in clean(home, resources, raw).items():
        (folder / f"{asset}.json").write_text(to_json(table))


def _fit(folder: Path, workers: str) -> None:
    import skops.io

    from benchmarks.tables import rows_of
    from marvel_assets.training.dask_cluster import dask_client
    from marvel_assets.training.dataset import dataset_columns
    from marvel_assets.training.distributed import fit_on_workers
    from marvel_assets.training.fit import fit_from_config, pipeline_from_config

    resources, train_set = _cleaned(folder, "train_set")
    config, tables = resources["project"].config, resources["tables"]
    number = int(workers)
    started = time.perf_counter()
    if number == 1:
        pipeline = fit_from_config(config, rows_of(resources, train_set), 1)
        peaks = [peak_of_this_process()]
    else:
        columns = dataset_columns(config.features, config.target)
        scan = tables.scan(train_set, columns)
        with dask_client(number, None, 1) as client:
            parts, unfitted = scan.parts(number), pipeline_from_config(config, 1)
            pipeline, _, _ = fit_on_workers(client, parts, unfitted, config.features, config.target)
            peaks = [peak_of_this_process(), *client.run(peak_of_this_process).values()]
    seconds = time.perf_counter() - started
    skops.io.dump(pipeline, folder / f"{workers}.skops")
    print(json.dumps({"seconds": seconds, "peak": max(peaks), "load": os.getloadavg()[0]}))


def _compare(folder: Path) -> None:
    """ROC AUC on the test rows, and the gate's interval of the difference."""
    import skops.io

    from benchmarks.tables import rows_of
    from marvel_assets.config import Gate
    from marvel_assets.evaluation.gate import compare
    from marvel_assets.model.pipeline import TRUSTED_TYPES

    resources, test_set = _cleaned(folder, "test_set")
    config, rows = resources["project"].config, rows_of(resources, test_set)
    models = [skops.io.load(folder / f"{workers}.skops", trusted=list(TRUSTED_TYPES)) for workers in (1, WORKERS)]
    alone, together = (model.predict_proba(rows[list(config.features)])[:, 1] for model in models)
    compared = compare(rows[config.target].to_numpy(), together, alone, Gate())
    print(
        f"{compared.candidate:.4f} and {compared.baseline:.4f}, "
        f"difference {compared.candidate - compared.baseline:+.4f} [{compared.low:+.4f}, {compared.high:+.4f}]"
    )


def _cleaned(folder: Path, asset: str) -> tuple[dict[str, Any], TableVersion]:
    from marvel_assets.defs.resources import embedded
    from marvel_assets.paths import ProjectPaths
    from marvel_assets.storage.references import TableVersion, from_json

    table = from_json((folder / f"{asset}.json").read_text())
    assert isinstance(table, TableVersion)  # noqa: S101
    return embedded(ProjectPaths.from_environment()), table


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
