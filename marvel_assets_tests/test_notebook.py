"""docs/notebook.ipynb runs from its first cell to its last, over a home with two versions."""

from collections.abc import Callable

import nbformat
import pytest
from nbclient import NotebookClient

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets_tests.commands import users_environment

pytestmark = pytest.mark.integration

FILE = PROJECT_ROOT / "docs" / "notebook.ipynb"


def test_it_is_kept_without_outputs():
    # when
    cells = [cell for cell in nbformat.read(FILE, as_version=4).cells if cell.cell_type == "code"]

    # then
    assert [(cell.outputs, cell.execution_count) for cell in cells] == [([], None)] * len(cells)


def test_it_loads_predicts_explains_compares_and_finds_the_rows_of_a_fit(given_runs: Callable[..., ProjectPaths]):
    # given
    given_runs(0.1, 0.0)

    # when: in an environment without the stores that MLflow has noted in this process
    notebook = NotebookClient(nbformat.read(FILE, as_version=4), resources={"metadata": {"path": PROJECT_ROOT}})
    done = notebook.execute(env=users_environment())

    # then: each cell ends in what a person wants to see
    shown = "\n".join(
        output.data["text/plain"] for cell in done.cells for output in cell.get("outputs", []) if "data" in output
    )
    expected = "models:/m-", "alive", "why", "version 1", "version 2", "roc_auc", "Marital_Status", "display_name"
    assert [text for text in expected if text not in shown] == []
